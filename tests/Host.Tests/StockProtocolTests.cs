using System.Net;
using System.Net.Http;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using NUnit.Framework;

namespace Tcpcrypt.Host.Tests;

/// <summary>What was written for sockets runs on it unchanged.</summary>
public sealed class StockProtocolTests
{
    [TestCase(ContinuationScheduling.ThreadPool, false)]
    [TestCase(ContinuationScheduling.ThreadPool, true)]
    [TestCase(ContinuationScheduling.Inline, false)]
    public async Task SslStream_runs_on_it(ContinuationScheduling scheduling, bool synchronous)
    {
        using X509Certificate2 certificate = MakeCertificate();
        await using StackPair pair = await StackPair.StartAsync(options => options.Scheduling = scheduling);
        (TcpConnection client, TcpConnection server) = await pair.ConnectAsync();
        Task serving = Task.Run(async () =>
        {
            await using SslStream stream = new(server.GetStream());
            await stream.AuthenticateAsServerAsync(certificate).ConfigureAwait(false);
            (long count, byte[] hash) = await Transfer.ReceiveAsync(stream).ConfigureAwait(false);
            await stream.WriteAsync(BitConverter.GetBytes(count)).ConfigureAwait(false);
            await stream.WriteAsync(hash).ConfigureAwait(false);
        });
        await Task.Run(async () =>
        {
            await using SslStream stream = new(client.GetStream(), false, (_, shown, _, _) => shown?.GetCertHashString() == certificate.GetCertHashString());
            byte[] answer = new byte[8 + 32];
            byte[] hash;
            if (synchronous)
            {
                stream.AuthenticateAsClient("stack.test");
                byte[] octets = RandomNumberGenerator.GetBytes(3_000_000);
                stream.Write(octets);
                hash = SHA256.HashData(octets);
                await stream.ShutdownAsync().ConfigureAwait(false);
                stream.ReadExactly(answer);
            }
            else
            {
                await stream.AuthenticateAsClientAsync("stack.test").ConfigureAwait(false);
                hash = await Transfer.SendAsync(stream, 3_000_000, seed: 1).ConfigureAwait(false);
                await stream.ShutdownAsync().ConfigureAwait(false);
                await stream.ReadExactlyAsync(answer).ConfigureAwait(false);
            }

            Assert.That(stream.SslProtocol, Is.AtLeast(SslProtocols.Tls12));
            Assert.That(answer, Is.EqualTo(BitConverter.GetBytes(3_000_000L).Concat(hash)));
        });
        await serving;
    }

    [Test]
    public async Task HttpClient_runs_on_it()
    {
        await using StackPair pair = await StackPair.StartAsync(options => options.Resolver = (_, _) => ValueTask.FromResult<IPAddress[]>([StackPair.ServerAddress]));
        await using TcpConnectionListener listener = await pair.Server.ListenAsync(new IPEndPoint(IPAddress.Any, 80));
        int connections = 0;
        Task serving = ServeAsync();
        using SocketsHttpHandler handler = new()
        {
            ConnectCallback = async (context, token) => (await pair.Client.ConnectAsync(context.DnsEndPoint.Host, context.DnsEndPoint.Port, ct: token)).GetStream(),
        };
        using (HttpClient client = new(handler) { BaseAddress = new Uri("http://server.test/") })
        {
            for (int i = 0; i < 5; i++)
            {
                Assert.That(await client.GetStringAsync($"page{i}"), Is.EqualTo($"You asked for /page{i} with 0 octets."));
            }

            using HttpResponseMessage posted = await client.PostAsync("form", new ByteArrayContent(new byte[300_000]));
            Assert.That(await posted.Content.ReadAsStringAsync(), Is.EqualTo("You asked for /form with 300000 octets."));
            string[] pages = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => client.GetStringAsync($"many{i}")));
            Assert.That(pages, Is.EqualTo(Enumerable.Range(0, 20).Select(i => $"You asked for /many{i} with 0 octets.")));
        }

        await listener.DisposeAsync();
        await serving;
        Assert.That(connections, Is.InRange(1, 21), "connections are used again");

        async Task ServeAsync()
        {
            List<Task> tasks = [];
            await foreach (TcpConnection connection in listener.AcceptAllAsync())
            {
                connections++;
                tasks.Add(AnswerAsync(connection));
            }

            await Task.WhenAll(tasks);
        }

        static async Task AnswerAsync(TcpConnection connection)
        {
            await using Stream stream = connection.GetStream();
            using StreamReader reader = new(stream, Encoding.Latin1);
            while (await reader.ReadLineAsync() is { } request)
            {
                int length = 0;
                while (await reader.ReadLineAsync() is { Length: > 0 } header)
                {
                    if (header.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase))
                    {
                        length = int.Parse(header.AsSpan("Content-Length:".Length), System.Globalization.CultureInfo.InvariantCulture);
                    }
                }

                if (length > 0)
                {
                    char[] body = new char[length];
                    Assert.That(await reader.ReadBlockAsync(body, 0, length), Is.EqualTo(length));
                }

                string answer = $"You asked for {request.Split(' ')[1]} with {length} octets.";
                await stream.WriteAsync(Encoding.Latin1.GetBytes($"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {answer.Length}\r\n\r\n{answer}"));
            }
        }
    }

    private static X509Certificate2 MakeCertificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=stack.test", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }
}
