using System.Security.Cryptography;

namespace Tcpcrypt.Fuzz;

/// <summary>Inputs as files, one folder per target, each named by what it holds.</summary>
internal static class Corpus
{
    /// <summary>Beside the program.</summary>
    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "corpus");

    public static string NameOf(byte[] input) => Convert.ToHexStringLower(SHA256.HashData(input).AsSpan(0, 8));

    /// <summary>In the order of the names, so that every run begins in the same way.</summary>
    public static IEnumerable<(string File, byte[] Input)> Load(string folder, FuzzTarget target)
    {
        string path = Path.Combine(folder, target.Name);
        return Directory.Exists(path) ? Directory.EnumerateFiles(path).Order(StringComparer.Ordinal).Select(static file => (file, File.ReadAllBytes(file))) : [];
    }

    /// <summary>These and no others; files named by hand stay.</summary>
    public static void Store(string folder, FuzzTarget target, IEnumerable<byte[]> inputs)
    {
        string path = Path.Combine(folder, target.Name);
        Directory.CreateDirectory(path);
        HashSet<string> names = [];
        foreach (byte[] input in inputs)
        {
            names.Add(NameOf(input));
            File.WriteAllBytes(Path.Combine(path, NameOf(input)), input);
        }

        foreach (string file in Directory.EnumerateFiles(path).Where(file => Path.GetFileName(file).Length == 16 && !names.Contains(Path.GetFileName(file))))
        {
            File.Delete(file);
        }
    }
}
