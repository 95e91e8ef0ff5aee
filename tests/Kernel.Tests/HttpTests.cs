using System.Net;
using System.Text;

namespace Tcpcrypt.Kernel.Tests;

/// <summary>HTTP with programs that know nothing of us.</summary>
public class HttpTests : KernelFixture
{
    [TestCase(OffloadMode.Auto)]
    [TestCase(OffloadMode.Off)]
    public async Task Curl_downloads_from_our_stack_and_uploads_to_it(OffloadMode offload)
    {
        Need("curl");
        await StartAsync(offload);
        byte[] page = Pattern(3_000_000);
        byte[] upload = Pattern(2_000_000, seed: 2);
        string uploadFile = Path.Combine(Folder, "upload");
        string downloadFile = Path.Combine(Folder, "download");
        await File.WriteAllBytesAsync(uploadFile, upload);
        await ServeAsync(80, connection => RespondAsync(connection, page));

        // Three requests, the first two over one connection.
        string said = Namespace.Run("curl", "-sS", "--max-time", "30", "-o", downloadFile, "-w", "%{http_code} %{num_connects} %{size_download}\n", "http://10.99.0.2/page", "--next", "-sS", "--max-time", "30", "http://10.99.0.2/small");
        Assert.That(said, Does.StartWith("200 1 3000000\n").And.Contain("GET /small"));
        Assert.That(Hash(await File.ReadAllBytesAsync(downloadFile)), Is.EqualTo(Hash(page)));
        Assert.That(Namespace.Run("curl", "-sS", "--max-time", "30", "-H", "Expect:", "--data-binary", "@" + uploadFile, "http://10.99.0.2/up"), Does.Contain(Hash(upload)));
        Assert.That(Stack.GetStatistics().TcpPassiveOpens, Is.EqualTo(2));
    }

    [Test]
    public async Task Curl_is_refused_where_nobody_listens()
    {
        Need("curl");
        await StartAsync();
        ShellResult result = Namespace.TryRun("curl", "-sS", "--max-time", "30", "http://10.99.0.2:81/");
        Assert.That(result.ExitCode, Is.EqualTo(7), result.Error);      // CURLE_COULDNT_CONNECT
        Assert.That(result.Error, Does.Not.Contain("timed out"));
    }

    [Test]
    public async Task HttpClient_over_our_stack_fetches_from_a_web_server_of_the_kernel()
    {
        Need("python3");
        await StartAsync();
        byte[] file = Pattern(20_000_000);
        await File.WriteAllBytesAsync(Path.Combine(Folder, "file"), file);
        Namespace.Start("python3", "-m", "http.server", "--bind", "10.99.0.1", "--directory", Folder, "8000");
        await (await ConnectToStartingAsync(new IPEndPoint(KernelIp, 8000))).DisposeAsync();

        using SocketsHttpHandler handler = new()
        {
            ConnectCallback = async (context, ct) => (await Stack.ConnectAsync(context.DnsEndPoint.Host, context.DnsEndPoint.Port, ct: ct)).GetStream(),
        };
        using HttpClient client = new(handler) { Timeout = Patience };
        Task<byte[]>[] fetches = [.. Enumerable.Range(0, 4).Select(_ => client.GetByteArrayAsync(new Uri("http://10.99.0.1:8000/file")))];
        foreach (byte[] fetched in await Task.WhenAll(fetches))
        {
            Assert.That(Hash(fetched), Is.EqualTo(Hash(file)));
        }

        using HttpResponseMessage missing = await client.GetAsync(new Uri("http://10.99.0.1:8000/none"));
        Assert.That(missing.StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
    }

    /// <summary>The least that is a web server: "page" gives the page, other paths their request line, a body its hash.</summary>
    private static async Task RespondAsync(TcpConnection connection, byte[] page)
    {
        await using Stream stream = connection.GetStream();
        while (await ReadHeadAsync(stream) is { } head)
        {
            byte[] body = new byte[LengthOf(head)];
            await stream.ReadExactlyAsync(body);
            byte[] answer = head.StartsWith("GET /page ", StringComparison.Ordinal) ? page
                : Encoding.ASCII.GetBytes(body.Length > 0 ? Hash(body) : head);
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {answer.Length}\r\n\r\n"));
            await stream.WriteAsync(answer);
        }
    }

    private static async Task<string?> ReadHeadAsync(Stream stream)
    {
        StringBuilder head = new();
        byte[] octet = new byte[1];
        while (await stream.ReadAsync(octet) == 1)
        {
            head.Append((char)octet[0]);
            if (octet[0] == '\n' && head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
            {
                return head.ToString();
            }
        }

        return null;
    }

    private static int LengthOf(string head)
    {
        string? line = head.Split("\r\n").FirstOrDefault(line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase));
        return line is null ? 0 : int.Parse(line.Split(':')[1]);
    }
}
