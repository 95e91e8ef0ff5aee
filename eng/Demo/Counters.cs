using System.Globalization;
using System.Text;

namespace Tcpcrypt.Demo;

/// <summary>What the stack knows about itself.</summary>
internal static class Counters
{
    public static string Describe(IpStack stack)
    {
        StringBuilder text = new();
        foreach (TcpConnectionInfo connection in stack.GetConnections())
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"{connection.Local,-18} {connection.Remote,-18} {connection.State}");
        }

        // Under their names in the MIBs, and only those that moved.
        IEnumerable<string> counters = stack.GetStatistics().Enumerate().Where(static counter => counter.Value != 0).Select(static counter => $"{counter.Key}={counter.Value}");
        foreach (string[] line in counters.Chunk(4))
        {
            text.AppendLine(string.Join("  ", line.Select(static counter => counter.PadRight(26))).TrimEnd());
        }

        return text.ToString();
    }
}
