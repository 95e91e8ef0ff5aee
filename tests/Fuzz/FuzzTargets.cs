namespace Tcpcrypt.Fuzz;

/// <summary>All targets.</summary>
internal static class FuzzTargets
{
    public static IReadOnlyList<FuzzTarget> All { get; } =
    [
        new Ipv4Target(), new IcmpTarget(), new UdpTarget(), new TcpTarget(), new FragmentTarget(), new ReassemblerTarget(),
        new CryptOptionTarget(), new Init1Target(), new Init2Target(), new SegmentTarget(), new SessionTarget(), new CookieTarget(),
        new StackTarget(isEncrypted: false), new StackTarget(isEncrypted: true),
    ];

    public static FuzzTarget Find(string name) =>
        All.FirstOrDefault(target => target.Name == name) ?? throw new ArgumentException($"There is no target {name}; there are {string.Join(", ", All.Select(static target => target.Name))}.");
}
