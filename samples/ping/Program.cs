// Pings from our stack: by default the kernel's end of the link.
using System.Net;
using System.Net.NetworkInformation;
using Tcpcrypt;
using Tcpcrypt.Samples;

return await Sample.RunAsync(args, "ping [ADDRESS] [COUNT]   default 10.9.0.1, 4 times", async (stack, rest, stop) =>
{
    IPAddress target = IPAddress.Parse(rest.ElementAtOrDefault(0) ?? "10.9.0.1");
    int count = rest.Count > 1 ? int.Parse(rest[1]) : 4;
    int answered = 0;
    for (int i = 1; i <= count; i++)
    {
        EchoReply reply = await stack.PingAsync(target, new EchoOptions { DataLength = 56, Timeout = TimeSpan.FromSeconds(1) }, stop);
        if (reply.Status == IPStatus.Success)
        {
            answered++;
            Console.WriteLine($"{i}: {reply.From} answered in {reply.RoundTrip.TotalMilliseconds:0.000} ms, ttl {reply.Ttl}");
        }
        else
        {
            // Somebody on the way may have said why: time exceeded, unreachable, too big.
            Console.WriteLine($"{i}: {reply.Status}{(reply.From is null ? "" : $" from {reply.From}")}");
        }

        await Task.Delay(i < count ? 500 : 0, stop);
    }

    Console.WriteLine($"{answered} of {count} answered");
});
