using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using NUnit.Framework;
using Tcpcrypt.Tests;

namespace Tcpcrypt.Tun.Tests;

/// <summary>Opening, configuring and removing interfaces, as <c>ip</c> sees them.</summary>
public partial class TunSetupTests : TunFixture
{
    [Test]
    public void Interface_has_name_mtu_queue_length_address_and_is_up()
    {
        TunDevice device = Open(new TunDeviceOptions { Name = "first0", HostAddress = HostAddress, Mtu = 1400, TxQueueLength = 1234 });
        Assert.That((device.Name, device.Mtu, device.Queues.Count, device.ToString()), Is.EqualTo(("first0", 1400, 1, "first0")));
        JsonElement link = IpJson("addr", "show", "dev", "first0");
        Assert.That(link.GetProperty("mtu").GetInt32(), Is.EqualTo(1400));
        Assert.That(link.GetProperty("txqlen").GetInt32(), Is.EqualTo(1234));
        Assert.That(link.GetProperty("flags").EnumerateArray().Select(f => f.GetString()), Does.Contain("UP"));
        JsonElement[] addresses = [.. link.GetProperty("addr_info").EnumerateArray()];
        Assert.That(addresses.Select(a => $"{a.GetProperty("local").GetString()}/{a.GetProperty("prefixlen").GetInt32()}"), Is.EqualTo(new[] { "10.99.0.1/24" }), "and no IPv6 one");
    }

    [Test]
    public void Pattern_takes_the_first_free_number()
    {
        Assert.That(Open(new TunDeviceOptions()).Name, Is.EqualTo("tun0"));
        Assert.That(Open(new TunDeviceOptions()).Name, Is.EqualTo("tun1"));
        Assert.That(Open(new TunDeviceOptions { Name = "x%dy" }).Name, Is.EqualTo("x0y"));
    }

    [Test]
    public void Longest_name_is_taken() => Assert.That(Open(new TunDeviceOptions { Name = "abcdefghijklmno" }).Name, Is.EqualTo("abcdefghijklmno"));

    [Test]
    public void Routes_lead_to_the_interface()
    {
        TunDeviceOptions options = new() { Name = "tun0", HostAddress = HostAddress };
        options.Routes.Add(IPNetwork.Parse("10.100.0.0/16"));
        options.Routes.Add(IPNetwork.Parse("0.0.0.0/0"));
        options.Routes.Add(IPNetwork.Parse("192.0.2.7/32"));
        Open(options);
        using JsonDocument routes = JsonDocument.Parse(Namespace.Run("ip", "-j", "route", "show", "dev", "tun0"));
        Assert.That(routes.RootElement.EnumerateArray().Select(r => r.GetProperty("dst").GetString()), Is.EquivalentTo(new[] { "default", "10.99.0.0/24", "10.100.0.0/16", "192.0.2.7" }));
    }

    [Test]
    public void Route_of_another_interface_is_not_stolen()
    {
        TunDeviceOptions first = new() { Name = "tun0" };
        first.Routes.Add(IPNetwork.Parse("10.100.0.0/16"));
        Open(first);
        TunDeviceOptions second = new() { Name = "tun1" };
        second.Routes.Add(IPNetwork.Parse("10.100.0.0/16"));
        IOException? refusal = Assert.Throws<IOException>(() => Open(second));
        Assert.That(refusal!.Message, Does.Contain("RTM_NEWROUTE").And.Contain("EEXIST (17").And.Contain("ip route del 10.100.0.0/16"));
        Assert.That(Namespace.Run("ip", "route", "show", "10.100.0.0/16"), Does.Contain("dev tun0"));
        Assert.That(Exists("tun1"), Is.False, "a failed opening leaves nothing behind");
    }

    [Test]
    public async Task Configuring_a_persistent_interface_again_is_no_error()
    {
        TunDeviceOptions options = new() { Name = "keep0", HostAddress = HostAddress, Persistent = true };
        options.Routes.Add(IPNetwork.Parse("10.100.0.0/16"));
        await Open(options).DisposeAsync();
        Assert.That(Exists("keep0"), Is.True);
        TunDevice again = Open(options);
        Assert.That(again.Name, Is.EqualTo("keep0"));
    }

    [Test]
    public async Task Dispose_removes_the_interface()
    {
        TunDevice device = Open();
        Assert.That(Exists("tun0"), Is.True);
        await device.DisposeAsync();
        Assert.That(Exists("tun0"), Is.False);
        Assert.That(async () => await device.DisposeAsync(), Throws.Nothing);
    }

    [Test]
    public async Task Persistent_interface_has_owner_and_group_and_outlives_the_device()
    {
        IgnoreUnlessIdsAreMapped();
        TunDevice device = Open(new TunDeviceOptions { Name = "keep0", Persistent = true, Owner = 1234, Group = 4321 });
        await device.DisposeAsync();
        using JsonDocument tuns = JsonDocument.Parse(Namespace.Run("ip", "-j", "-d", "link", "show", "dev", "keep0"));
        JsonElement info = tuns.RootElement[0].GetProperty("linkinfo").GetProperty("info_data");
        Assert.That(info.GetProperty("persist").GetBoolean(), Is.True);
        Assert.That(info.GetProperty("user").ToString(), Is.EqualTo("1234"));
        Assert.That(info.GetProperty("group").ToString(), Is.EqualTo("4321"));
    }

    [Test]
    public async Task Interface_that_someone_else_made_is_attached_to_and_left_alone()
    {
        Namespace.Run("ip", "tuntap", "add", "dev", "lab0", "mode", "tun");
        Namespace.Run("ip", "addr", "add", "10.77.0.1/24", "dev", "lab0");
        Namespace.Run("ip", "link", "set", "lab0", "mtu", "1380", "up");
        string before = Namespace.Run("ip", "-j", "addr", "show", "dev", "lab0");
        TunDevice device = Open(new TunDeviceOptions { Name = "lab0", Configure = false });
        Assert.That((device.Name, device.Mtu), Is.EqualTo(("lab0", 1380)));
        Assert.That(device.Offloads, Is.EqualTo(PacketOffloads.Checksum | PacketOffloads.Segmentation));
        await device.DisposeAsync();
        Assert.That(Exists("lab0"), Is.True);

        // Carrier goes with the attachment; the set-up stays.
        Assert.That(Strip(Namespace.Run("ip", "-j", "addr", "show", "dev", "lab0")), Is.EqualTo(Strip(before)));

        static string Strip(string json)
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement link = document.RootElement[0];
            IEnumerable<string?> addresses = link.GetProperty("addr_info").EnumerateArray().Where(a => a.GetProperty("family").GetString() == "inet").Select(a => a.GetProperty("local").GetString());
            return $"{link.GetProperty("mtu")} {string.Join(',', addresses)} {link.GetProperty("flags").EnumerateArray().Any(f => f.GetString() == "UP")}";
        }
    }

    [Test]
    public void Several_queues_are_one_interface()
    {
        TunDevice device = Open(new TunDeviceOptions { Name = "many%d", Queues = 3 });
        Assert.That((device.Name, device.Queues.Count), Is.EqualTo(("many0", 3)));
        JsonElement link = IpJson("-d", "link", "show", "dev", "many0");
        JsonElement info = link.GetProperty("linkinfo").GetProperty("info_data");
        Assert.That(info.GetProperty("multi_queue").GetBoolean(), Is.True);
        Assert.That(info.GetProperty("numqueues").GetInt32(), Is.EqualTo(3));
    }

    [Test]
    public void One_queue_of_an_interface_made_for_several_can_be_opened()
    {
        Namespace.Run("ip", "tuntap", "add", "dev", "many0", "mode", "tun", "multi_queue");
        Assert.That(Open(new TunDeviceOptions { Name = "many0" }).Queues, Has.Count.EqualTo(1));
    }

    [Test]
    public void Several_queues_of_an_interface_made_for_one_are_refused_with_the_cure()
    {
        Namespace.Run("ip", "tuntap", "add", "dev", "one0", "mode", "tun");
        IOException? refusal = Assert.Throws<IOException>(() => Open(new TunDeviceOptions { Name = "one0", Queues = 2 }));
        Assert.That(refusal!.Message, Does.Contain("TUNSETIFF").And.Contain("EINVAL (22").And.Contain("Queues = 1"));
    }

    [Test]
    public void Name_that_is_busy_is_said_with_the_cure()
    {
        Open();
        IOException? refusal = Assert.Throws<IOException>(() => Open());
        Assert.That(refusal!.Message, Does.Contain("tun0").And.Contain("ioctl(TUNSETIFF)").And.Contain("EBUSY (16").And.Contain("busy"));
        Assert.That(refusal.HResult, Is.EqualTo(16));
    }

    [Test]
    public void Name_of_another_kind_of_interface_is_said_with_the_cure()
    {
        IOException? refusal = Assert.Throws<IOException>(() => Open(new TunDeviceOptions { Name = "lo" }));
        Assert.That(refusal!.Message, Does.Contain("EINVAL (22").And.Contain("an interface lo exists that is not a TUN device"));
    }

    [Test]
    public void Missing_capability_is_said_with_the_cure()
    {
        IOException? refusal = Assert.Throws<IOException>(() => InPoorThread(dropAll: false, () => TunDevice.Open(new TunDeviceOptions())));
        Assert.That(refusal!.Message, Does.Contain("ioctl(TUNSETIFF)").And.Contain("EPERM (1").And.Contain("CAP_NET_ADMIN"));
    }

    [Test]
    public void Forbidden_device_node_is_said_with_the_cure()
    {
        IgnoreUnlessIdsAreMapped();
        if (OperatingSystem.IsLinux() && (File.GetUnixFileMode(TunNative.Node) & UnixFileMode.OtherWrite) != 0)
        {
            Assert.Ignore("Everybody may open /dev/net/tun here.");
        }

        IOException? refusal = Assert.Throws<IOException>(() => InPoorThread(dropAll: true, () => TunDevice.Open(new TunDeviceOptions())));
        Assert.That(refusal!.Message, Does.Contain("open(/dev/net/tun)").And.Contain("EACCES (13").And.Contain("chmod"));
    }

    [Test]
    public void Missing_device_node_is_said_with_the_cure()
    {
        IOException? refusal = Assert.Throws<IOException>(() => InThread(() =>
        {
            // A mount namespace of this thread's own, in which /dev/net is empty.
            Assert.That(Unshare(0x0002_0000), Is.Zero);
            Assert.That(Mount("none", "/", null, 0x4_4000, null), Is.Zero);
            Assert.That(Mount("none", "/dev/net", "tmpfs", 0, null), Is.Zero);
            TunDevice.Open(new TunDeviceOptions());
        }));
        Assert.That(refusal!.Message, Does.Contain("open(/dev/net/tun)").And.Contain("ENOENT (2").And.Contain("modprobe tun"));
    }

    [Test]
    public void Owner_may_attach_without_capabilities_and_configuring_is_refused_with_the_cure()
    {
        Namespace.Run("ip", "tuntap", "add", "dev", "mine0", "mode", "tun", "user", "0");
        Namespace.Run("ip", "link", "set", "mine0", "mtu", "1300");
        string? message = null;
        int mtu = 0;
        InPoorThread(dropAll: false, () =>
        {
            TunDevice device = TunDevice.Open(new TunDeviceOptions { Name = "mine0", Configure = false });
            mtu = device.Mtu;
            device.DisposeAsync().AsTask().GetAwaiter().GetResult();
            message = Assert.Throws<IOException>(() => TunDevice.Open(new TunDeviceOptions { Name = "mine0" }))!.Message;
        });
        Assert.That(mtu, Is.EqualTo(1300));
        Assert.That(message, Does.Contain("RTM_NEWLINK").And.Contain("EPERM (1").And.Contain("CAP_NET_ADMIN"));
    }

    [Test]
    public async Task Handed_in_descriptor_is_used_and_closed()
    {
        SafeFileHandle handle = Attach("given0", TunNative.IffTun | TunNative.IffNoPi | TunNative.IffVnetHdr);
        Namespace.Run("ip", "link", "set", "given0", "mtu", "1350", "up");
        TunDevice device = FromHandle(handle);
        Assert.That((device.Name, device.Mtu), Is.EqualTo(("given0", 1350)));
        Assert.That(device.Offloads, Is.EqualTo(PacketOffloads.Checksum | PacketOffloads.Segmentation));
        await device.DisposeAsync();
        Assert.That(handle.IsClosed, Is.True);
    }

    [Test]
    public void Handed_in_descriptor_can_be_configured()
    {
        FromHandle(Attach("given0", TunNative.IffTun | TunNative.IffNoPi), new TunDeviceOptions { HostAddress = HostAddress, Mtu = 1450 });
        Assert.That(IpJson("addr", "show", "dev", "given0").GetProperty("mtu").GetInt32(), Is.EqualTo(1450));
        Assert.That(Namespace.Run("ip", "addr", "show", "dev", "given0"), Does.Contain("10.99.0.1/24"));
    }

    [Test]
    public async Task Handed_in_descriptor_of_another_namespace_takes_the_mtu_from_the_options()
    {
        SafeFileHandle handle = Attach("given0", TunNative.IffTun | TunNative.IffNoPi);
        using NetworkNamespace elsewhere = new();
        elsewhere.Run("ip", "tuntap", "add", "dev", "given0", "mode", "tun");
        elsewhere.Run("ip", "link", "set", "given0", "mtu", "1234");
        await using TunDevice device = elsewhere.Invoke(() => TunDevice.FromHandle(handle, new TunDeviceOptions { Configure = false, Mtu = 1400 }));
        Assert.That(device.Mtu, Is.EqualTo(1400));
    }

    [Test]
    public void Interface_of_the_same_name_in_another_namespace_is_not_configured_by_mistake()
    {
        using SafeFileHandle handle = Attach("given0", TunNative.IffTun | TunNative.IffNoPi);
        using NetworkNamespace elsewhere = new();
        elsewhere.Run("ip", "tuntap", "add", "dev", "given0", "mode", "tun");
        IOException? refusal = Assert.Throws<IOException>(() => elsewhere.Invoke(() => TunDevice.FromHandle(handle, new TunDeviceOptions { HostAddress = HostAddress })));
        Assert.That(refusal!.Message, Does.Contain("Configure = false"));
        Assert.That(elsewhere.Run("ip", "addr", "show", "dev", "given0"), Does.Not.Contain("10.99.0.1"));
    }

    [Test]
    public void Handed_in_descriptor_without_header_falls_back_and_is_logged_once()
    {
        ListLogger log = new();
        TunDevice device = FromHandle(Attach("given0", TunNative.IffTun | TunNative.IffNoPi), new TunDeviceOptions { Configure = false, LoggerFactory = log });
        Assert.That(device.Offloads, Is.EqualTo(PacketOffloads.None));
        Assert.That(log.Entries.Where(e => e.Level == LogLevel.Warning).Select(e => (e.Id, e.Category)), Is.EqualTo(new[] { (1001, "Tcpcrypt.Tun.TunDevice") }));
        Assert.That(log.Entries.Single(e => e.Id == 1001).Text, Does.Contain("given0").And.Contain("IFF_VNET_HDR"));
    }

    [Test]
    public void Required_offload_that_is_not_there_is_an_error_and_the_descriptor_stays_open()
    {
        using SafeFileHandle handle = Attach("given0", TunNative.IffTun | TunNative.IffNoPi);
        IOException? refusal = Assert.Throws<IOException>(() => FromHandle(handle, new TunDeviceOptions { Configure = false, Offload = OffloadMode.Required }));
        Assert.That(refusal!.Message, Does.Contain("Required").And.Contain("IFF_VNET_HDR"));
        Assert.That(handle.IsClosed, Is.False);
    }

    [Test]
    public void Handed_in_descriptor_that_will_not_do_is_refused()
    {
        using SafeFileHandle tap = Attach("tap0", TunNative.IffTap | TunNative.IffNoPi);
        using SafeFileHandle withInformation = Attach("pi0", TunNative.IffTun);
        using SafeFileHandle unattached = Namespace.Invoke(TunNative.OpenNode);
        using SafeFileHandle other = File.OpenHandle("/dev/null");
        using SafeFileHandle closed = new(-1, ownsHandle: false);
        Assert.That(() => FromHandle(tap), Throws.ArgumentException);
        Assert.That(() => FromHandle(withInformation), Throws.ArgumentException);
        Assert.That(() => FromHandle(closed), Throws.ArgumentException);
        Assert.That(() => FromHandle(null!), Throws.ArgumentNullException);
        Assert.That(() => FromHandle(unattached), Throws.InstanceOf<IOException>().With.Message.Contains("EBADFD").And.Message.Contains("TUNSETIFF"));
        Assert.That(() => FromHandle(other), Throws.InstanceOf<IOException>().With.Message.Contains("ENOTTY").And.Message.Contains("not a descriptor of /dev/net/tun"));
        Assert.That(() => FromHandle(tap, new TunDeviceOptions { Queues = 2 }), Throws.ArgumentException.With.Property("ParamName").EqualTo("Queues"));
    }

    [Test]
    public void Offload_is_negotiated_or_not_as_asked()
    {
        ListLogger log = new();
        Assert.That(Open(new TunDeviceOptions { Offload = OffloadMode.Required, LoggerFactory = log }).Offloads, Is.EqualTo(PacketOffloads.Checksum | PacketOffloads.Segmentation));
        Assert.That(Open(new TunDeviceOptions { Offload = OffloadMode.Off, LoggerFactory = log }).Offloads, Is.EqualTo(PacketOffloads.None));
        Assert.That(log.Entries.Select(e => e.Level), Has.All.LessThan(LogLevel.Warning));
        if (Shell.Has("ethtool"))
        {
            Assert.That(Namespace.Run("ethtool", "-k", "tun0"), Does.Contain("tcp-segmentation-offload: on"));
            Assert.That(Namespace.Run("ethtool", "-k", "tun1"), Does.Contain("tcp-segmentation-offload: off"));
        }
    }

    // A user namespace made without privilege knows one user only.
    private static void IgnoreUnlessIdsAreMapped()
    {
        string[] map = File.ReadAllText("/proc/self/uid_map").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (map is ["0", _, var count] && long.Parse(count, CultureInfo.InvariantCulture) < 65_535)
        {
            Assert.Ignore("Needs more than one user id: this is a user namespace.");
        }
    }

    private JsonElement IpJson(params string[] arguments)
    {
        using JsonDocument document = JsonDocument.Parse(Namespace.Run("ip", ["-j", .. arguments]));
        return document.RootElement[0].Clone();
    }

    // Capabilities and file system identity belong to a thread: one of its own loses them and is thrown away.
    private void InPoorThread(bool dropAll, Action action) => InThread(() =>
    {
        string path = Namespace.Path;
        using (SafeFileHandle home = File.OpenHandle(path))
        {
            Assert.That(SetNs((int)home.DangerousGetHandle(), 0x4000_0000), Is.Zero);
        }

        if (dropAll)
        {
            _ = SetFsUid(65534);    // answers with the id before, never with an error
        }

        // struct __user_cap_header_struct: version 3, this thread; then effective, permitted, inheritable, twice.
        uint[] header = [0x2008_0522, 0];
        uint[] capabilities = new uint[6];
        Assert.That(CapSet(header, capabilities), Is.Zero);
        action();
    });

    private static void InThread(Action action)
    {
        Exception? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                action();
            }
            catch (Exception exception)
            {
                failure = exception;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null)
        {
            throw failure;
        }
    }

    [LibraryImport("libc.so.6", EntryPoint = "unshare")]
    private static partial int Unshare(int flags);

    [LibraryImport("libc.so.6", EntryPoint = "setns")]
    private static partial int SetNs(int descriptor, int kind);

    [LibraryImport("libc.so.6", EntryPoint = "setfsuid")]
    private static partial int SetFsUid(uint user);

    [LibraryImport("libc.so.6", EntryPoint = "capset")]
    private static partial int CapSet(uint[] header, uint[] capabilities);

    [LibraryImport("libc.so.6", EntryPoint = "mount", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Mount(string source, string target, string? type, nuint flags, string? data);

    /// <summary>Keeps what is logged.</summary>
    private sealed class ListLogger : ILoggerFactory
    {
        public List<(LogLevel Level, int Id, string Category, string Text)> Entries { get; } = [];

        public ILogger CreateLogger(string categoryName) => new Category(this, categoryName);

        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

        public void Dispose()
        {
        }

        private sealed class Category(ListLogger owner, string name) : ILogger
        {
            public IDisposable? BeginScope<TState>(TState state)
                where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
                owner.Entries.Add((logLevel, eventId.Id, name, formatter(state, exception)));
        }
    }
}
