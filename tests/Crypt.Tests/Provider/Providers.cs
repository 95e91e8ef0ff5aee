using System.Globalization;
using System.Text.Json;
using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Provider;

/// <summary>The providers that every test of primitives runs on, by name.</summary>
internal static class Providers
{
    public static readonly string[] All = ["Portable", "Native", "NativeEvpOnly"];

    /// <summary>The provider; the test is reported as ignored, with the reason, where it is not available.</summary>
    public static CryptoProvider Get(string name)
    {
        if (name == "Portable")
        {
            return CryptoProvider.Portable;
        }

        if (NativeCryptoProvider.Unavailable is { } reason)
        {
            Assert.Ignore($"no native provider: {reason}");
        }

        return name == "Native" ? NativeCryptoProvider.Instance! : NativeCryptoProvider.EvpOnly!;
    }
}

/// <summary>The two files of vectors for primitives.</summary>
internal static class PrimitiveVectors
{
    private static readonly Dictionary<string, JsonElement> s_files = new[] { "draft", "reference" }.ToDictionary(static dialect => dialect, static dialect =>
        JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestContext.CurrentContext.TestDirectory, "Vectors", dialect, "primitives.json"))).RootElement);

    public static JsonElement Get(string dialect, string name) => s_files[dialect].GetProperty(name);

    /// <summary>The entries of a list; never none, so that a loop over them cannot pass by doing nothing.</summary>
    public static List<JsonElement> List(string dialect, string name)
    {
        List<JsonElement> entries = [.. Get(dialect, name).EnumerateArray()];
        Assert.That(entries, Is.Not.Empty);
        return entries;
    }

    public static byte[] Hex(this JsonElement entry, string name) => Convert.FromHexString(entry.GetProperty(name).GetString()!);

    public static ulong Number(this JsonElement entry, string name) =>
        entry.GetProperty(name) is { ValueKind: JsonValueKind.String } text ? ulong.Parse(text.GetString()!, CultureInfo.InvariantCulture) : entry.GetProperty(name).GetUInt64();
}

/// <summary>The handshakes of the captured connections.</summary>
internal static class ConnectionVectors
{
    public static JsonElement KeyExchange(string dialect, string name) =>
        JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestContext.CurrentContext.TestDirectory, "Vectors", dialect, name + ".json"))).RootElement.GetProperty("key_exchange");
}
