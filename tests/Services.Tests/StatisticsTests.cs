using System.Reflection;
using Tcpcrypt.Core;

namespace Tcpcrypt.Tests;

public class StatisticsTests
{
    [Test]
    public void Enumeration_has_every_scalar_under_its_name()
    {
        PropertyInfo[] scalars = [.. typeof(IpStackStatistics).GetProperties().Where(static property => property.PropertyType == typeof(long))];
        Assert.That(StatisticsField.All.Select(static field => field.Name), Is.EqualTo(scalars.Select(static property => property.Name)));

        IpStackStatistics statistics = new();
        for (int i = 0; i < scalars.Length; i++)
        {
            scalars[i].SetValue(statistics, i + 1L);
        }

        Assert.That(statistics.Enumerate().Select(static pair => pair.Value), Is.EqualTo(Enumerable.Range(1, scalars.Length).Select(static i => (long)i)));
    }

    [TestCase("IpInReceives")]
    [TestCase("IpInHdrErrors")]
    [TestCase("IpReasmFails")]
    [TestCase("IcmpInEchos")]
    [TestCase("UdpNoPorts")]
    [TestCase("TcpActiveOpens")]
    [TestCase("TcpCurrEstab")]
    [TestCase("TcpRetransSegs")]
    public void Mib_name_is_there(string name) => Assert.That(StatisticsField.All.Select(static field => field.Name), Does.Contain(name));

    [Test]
    public void Every_core_counter_is_published()
    {
        IEnumerable<string> counters = typeof(StackCounters).GetFields().Select(static field => field.Name);
        Assert.That(counters, Is.SubsetOf(StatisticsField.All.Select(static field => field.Name)));
    }

    [Test]
    public void Drops_name_every_reason_but_none()
    {
        StackCounters counters = new();
        counters.CountDrop(DropReason.TcpPaws);
        IReadOnlyDictionary<string, long> drops = DropNames.Read(counters);
        Assert.That(drops.Keys, Is.EquivalentTo(Enum.GetNames<DropReason>().Except(["None", "Count"])));
        Assert.That(drops["TcpPaws"], Is.EqualTo(1));
        Assert.That(drops.Values.Sum(), Is.EqualTo(1));
    }
}
