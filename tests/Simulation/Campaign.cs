using Tcpcrypt.Testing;

namespace Tcpcrypt.Simulation;

/// <summary>Runs seeds, and says of one that fails how to see it again: the command, and a capture of what was on the link.</summary>
internal static class Campaign
{
    /// <summary>Runs a seed.</summary>
    /// <param name="seed">The seed.</param>
    /// <param name="attacks">True = somebody on the path, <see cref="AttackScenario"/>; false = a path that is merely bad.</param>
    /// <param name="folder">Where a capture of a failure goes.</param>
    /// <param name="change">Changes the scenario that the seed stands for; for the test of this class.</param>
    /// <returns>What happened, and what is to be told of a failure, or null.</returns>
    public static (RunResult Result, string? Failure) Run(int seed, bool attacks, string folder, Action<Scenario>? change = null)
    {
        string? scenario = null;
        try
        {
            return (attacks ? AttackScenario.Run(seed) : Simulator.Run(Make(), seed, null), null);
        }
        catch (Exception e)
        {
            // Whatever it is, an exception out of the stack included: the next seed tells more.
            string replay = $"make simulate SEED={seed} SEEDS=1{(attacks ? " ATTACK=1" : "")}";
            return (default, $"""
                seed {seed} FAILED: {(e is SimulationException ? e.Message : e)}
                  {scenario}
                  packets: {Record()}
                  replay: {replay}        packet by packet: {replay} TRACE=1
                """);
        }

        Scenario Make()
        {
            Scenario made = Scenario.FromSeed(seed);
            change?.Invoke(made);
            scenario = made.ToString();
            return made;
        }

        // Again, with a capture: the same seed gives the same packets.
        string Record()
        {
            string path = Path.Combine(folder, $"simulation{(attacks ? "-attack" : "")}-{seed}.pcapng");
            using Capture capture = new(path);
            try
            {
                _ = attacks ? AttackScenario.Run(seed, (timeNs, toA, packet, what) => capture.Add(timeNs, !toA, packet, what)) : Simulator.Run(Make(), seed, capture.Add);
            }
            catch (Exception)
            {
                // Known already.
            }

            return path;
        }
    }
}

/// <summary>What a seed that is good came to.</summary>
/// <param name="Time">The time that passed inside.</param>
/// <param name="Packets">Packets put on the path.</param>
/// <param name="GivenUp">Connections that ended before they began, as they may: see <see cref="PathFaults.OutlastsHandshakes"/>.</param>
internal readonly record struct RunResult(TimeSpan Time, long Packets, int GivenUp);
