using Tcpcrypt.Testing;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Simulation;

/// <summary>What a seed stands for where somebody on the path attacks: which attacks, how zealously, both hosts' settings, a chain of connections with new keys now and then.</summary>
internal static class AttackScenario
{
    /// <summary>Runs to the end, or throws.</summary>
    /// <returns>The time that passed inside and the packets, the attacker's among them.</returns>
    public static RunResult Run(int seed, Action<long, bool, byte[], string>? tap = null)
    {
        Random random = new(seed);
        Attacks attacks = Attacks.None;
        foreach (Attacks attack in Enum.GetValues<Attacks>())
        {
            attacks |= attack is not (Attacks.None or Attacks.All) && random.Next(2) == 0 ? attack : Attacks.None;
        }

        SecretTalk talk = new(seed, attacks, Draw, Draw);
        talk.Path.Tap = (timeNs, toA, packet, what) =>
        {
            // Each event but the last ends in a packet or is followed by one.
            Simulator.Audit(talk.Path.A, talk.Path.B);
            tap?.Invoke(timeNs, toA, packet, what);
        };
        talk.Path.Zeal = random.Next(4) == 0 ? 0.6 : random.NextDouble() * 0.3;
        double loss = random.Next(2) == 0 ? 0 : random.NextDouble() * 0.1;
        talk.Path.Hook = (_, packet) => random.NextDouble() < loss ? null : packet;
        if (random.Next(3) == 0)
        {
            // C finds no marker and speaks the other dialect.
            talk.Path.B.Core.Crypt!.Settings = talk.Path.B.Core.Crypt.Settings with { SendsMarker = false };
        }

        List<SteppedSocket> sockets = [];
        for (int connections = random.Next(1, 4); connections > 0; connections--)
        {
            bool isConnected = talk.Connect();
            sockets.Add(talk.Client);
            sockets.AddRange(talk.Server is { } server ? [server] : []);
            if (!isConnected || !talk.IsEncrypted)
            {
                // Lost SYNs lead to plain TCP, which may break: no promise was made.
                break;
            }

            if (!talk.Transfer(random.Next(1, 40_000), seconds: 14_400, Rekey))
            {
                throw new SimulationException($"attacks {attacks}, zeal {talk.Path.Zeal:F2}, loss {loss:P0}: {talk}");
            }

            talk.Path.Pass(random.Next(2) == 0 ? 1 : 200);
        }

        RunResult result = new(TimeSpan.FromTicks(talk.Path.NowNs / 100), talk.Path.Genuine + talk.Path.Injected, 0);
        sockets.ForEach(static socket => socket.Close());
        talk.Path.Pass(seconds: 3600);
        Simulator.ExpectNothingLeft(talk.Path.A);
        Simulator.ExpectNothingLeft(talk.Path.B);
        return result;

        void Rekey()
        {
            if (random.Next(300) == 0)
            {
                (random.Next(2) == 0 ? talk.Client : talk.Server!).Rekey();
            }
        }

        void Draw(SteppedStackOptions options)
        {
            options.Mtu = random.Next(3) == 0 ? random.Next(576, 1500) : 1500;
            options.Tcp = new TcpStackOptions
            {
                WindowScaling = random.Next(4) != 0,
                Timestamps = random.Next(3) != 0,
                SelectiveAcknowledgments = random.Next(2) == 0,
                ReceiveBufferSize = random.Next(2) == 0 ? random.Next(3_000, 20_000) : 200_000,
            };
            options.TcpcryptOptions.UnauthenticatedReset = random.Next(3) == 0 ? UnauthenticatedReset.Ignore : UnauthenticatedReset.Verify;
            options.TcpcryptOptions.EarlyData = random.Next(2) == 0;
        }
    }
}
