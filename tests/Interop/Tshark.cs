using System.Buffers.Binary;

namespace Tcpcrypt.Interop;

/// <summary>Runs tshark with the dissector of samples/wireshark.</summary>
internal static class Tshark
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    /// <summary>What an error inside of a Lua dissector adds to the packet that caused it.</summary>
    public const string LuaError = "_ws.lua.text";

    private static string Dissector => Path.Combine(AppContext.BaseDirectory, "tcpcrypt.lua");

    /// <summary>The values of fields in each packet of a capture; several values of one field in their order, octets as hexadecimal digits.</summary>
    public static List<Dictionary<string, string[]>> Read(string file, IReadOnlyList<string> fields, params string[] more)
    {
        // Ports mean nothing: what a connection carries is not to be taken for a protocol that it looks like.
        string[] arguments = ["-n", "-r", file, "-X", $"lua_script:{Dissector}", "-d", "tcp.port==1-65535,data", .. more, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=|", .. fields.SelectMany(field => new[] { "-e", field })];
        ShellResult result = Shell.Start("tshark", arguments).Wait(s_patience);
        string output = result.Expect();
        Assert.That(result.Error, Does.Not.Contain("Lua").IgnoreCase, "the script was loaded, and no packet made it fail");
        return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line =>
        {
            string[] values = line.Split('\t');
            Assert.That(values, Has.Length.EqualTo(fields.Count), line);
            return fields.Zip(values).ToDictionary(pair => pair.First, pair => pair.Second.Length == 0 ? [] : pair.Second.Split('|'));
        })];
    }

    /// <summary>Writes IPv4 packets as a capture file.</summary>
    public static string Write(string file, IEnumerable<byte[]> packets)
    {
        const uint Magic = 0xa1b2c3d4, RawIp = 101;
        using BinaryWriter writer = new(File.Create(file));
        writer.Write(Magic);
        writer.Write((ushort)2);
        writer.Write((ushort)4);
        writer.Write(0L);
        writer.Write(65_535);
        writer.Write(RawIp);
        int number = 0;
        foreach (byte[] packet in packets)
        {
            writer.Write(number / 1000);
            writer.Write(number++ % 1000 * 1000);
            writer.Write(packet.Length);
            writer.Write(packet.Length);
            writer.Write(packet);
        }

        return file;
    }

    /// <summary>An IPv4 packet with a TCP segment, its options as they are given.</summary>
    public static byte[] Packet(byte flags, ReadOnlySpan<byte> options, ReadOnlySpan<byte> data)
    {
        int header = 20 + options.Length;
        Assert.That(options.Length % 4, Is.Zero, "options end on a boundary of 32 bits");
        byte[] packet = new byte[20 + header + data.Length];
        packet[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
        packet[8] = 64;
        packet[9] = 6;
        (packet[12], packet[15], packet[16], packet[19]) = (10, 1, 10, 2);
        Span<byte> tcp = packet.AsSpan(20);
        BinaryPrimitives.WriteUInt16BigEndian(tcp, 40_000);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], 7000);
        tcp[12] = (byte)(header / 4 << 4);
        tcp[13] = flags;
        options.CopyTo(tcp[20..]);
        data.CopyTo(tcp[header..]);
        return packet;
    }
}
