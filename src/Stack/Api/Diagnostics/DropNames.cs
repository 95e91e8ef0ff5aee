using System.Collections.Frozen;
using Tcpcrypt.Core;

namespace Tcpcrypt;

/// <summary>Drop reasons as text: made once, since an enum's ToString is slow and allocates.</summary>
internal static class DropNames
{
    private static readonly string[] s_names = [.. Enumerable.Range(0, (int)DropReason.Count).Select(static reason => ((DropReason)reason).ToString())];

    public static string Of(DropReason reason) => s_names[(int)reason];

    public static IReadOnlyDictionary<string, long> Read(StackCounters counters)
    {
        Dictionary<string, long> drops = new((int)DropReason.Count - 1);
        for (int reason = 1; reason < s_names.Length; reason++)
        {
            drops.Add(s_names[reason], counters[(DropReason)reason]);
        }

        return drops.AsReadOnly();
    }
}
