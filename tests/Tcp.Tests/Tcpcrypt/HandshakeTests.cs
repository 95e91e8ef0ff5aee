using Tcpcrypt.Tcp.Tests.TwoStacks;
using Tcpcrypt.Testing;

namespace Tcpcrypt.Tcp.Tests.Encrypted;

/// <summary>Two stacks that both have tcpcrypt.</summary>
public sealed class HandshakeTests
{
    [TestCase(TcpcryptKeyExchange.EcdheP256)]
    [TestCase(TcpcryptKeyExchange.EcdheP521)]
    [Spec("TD-17"), Spec("TD-20"), Spec("TD-23"), Spec("TD-32"), Spec("TD-33")]
    public void Both_sides_encrypt_and_agree_on_the_session_id(TcpcryptKeyExchange keyExchange)
    {
        Pair pair = new(client: On(), server: On(options => options.KeyExchanges = [keyExchange]));
        (SteppedSocket client, SteppedSocket server) = pair.Connect();

        TcpcryptStatus c = client.Tcpcrypt!;
        TcpcryptStatus s = server.Tcpcrypt!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(c.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted));
            Assert.That(s.Outcome, Is.EqualTo(TcpcryptOutcome.Encrypted));
            Assert.That(c.SessionId.ToArray(), Is.EqualTo(s.SessionId.ToArray()));
            Assert.That(c.SessionId.Length, Is.EqualTo(32));
            Assert.That((c.Role, s.Role), Is.EqualTo((TcpcryptRole.C, TcpcryptRole.S)));
            Assert.That(c.KeyExchange, Is.EqualTo(keyExchange));
            Assert.That(c.Dialect, Is.EqualTo(TcpcryptDialect.Draft));
        }

        pair.Transfer(client, server, 300_000);
        pair.Finish(client, server);
    }

    internal static Action<SteppedStackOptions> On(Action<TcpcryptOptions>? configure = null) => options =>
    {
        options.Tcpcrypt = true;
        configure?.Invoke(options.TcpcryptOptions);
    };
}
