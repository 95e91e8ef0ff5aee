namespace Tcpcrypt.Fuzz;

/// <summary>What <c>make fuzz</c> once found, in every test run. An input that is named in words is the one that found a bug.</summary>
public sealed class CorpusTests
{
    private static IEnumerable<TestCaseData> Names => FuzzTargets.All.Select(static target => new TestCaseData(target.Name));

    [TestCaseSource(nameof(Names))]
    public void The_corpus_of_a_target_finds_nothing(string name)
    {
        FuzzTarget target = FuzzTargets.Find(name);
        (string File, byte[] Input)[] corpus = [.. Corpus.Load(Corpus.Folder, target)];
        Assert.That(corpus, Is.Not.Empty);
        using (Assert.EnterMultipleScope())
        {
            foreach ((string file, byte[] input) in corpus)
            {
                Assert.That(() => target.RunWithin(input), Throws.Nothing, $"make fuzz INPUT=tests/Fuzz/corpus/{name}/{Path.GetFileName(file)} replays it");
            }
        }
    }

    [TestCaseSource(nameof(Names))]
    public void Any_octets_are_an_input(string name)
    {
        FuzzTarget target = FuzzTargets.Find(name);
        Random random = new(1);
        Mutator mutator = new(random, target);
        byte[][] seeds = [.. target.Seeds];
        Assert.That(() => target.RunWithin([]), Throws.Nothing);
        for (int i = 0; i < 20; i++)
        {
            byte[] input = i % 2 == 0 ? mutator.Mutate(seeds[i % seeds.Length], seeds) : new byte[random.Next(target.MaxLength)];
            random.NextBytes(input.AsSpan(0, i % 2 == 0 ? 0 : input.Length));
            Assert.That(() => target.RunWithin(input), Throws.Nothing, Convert.ToHexString(input));
        }
    }

    [Test]
    public void The_same_seed_makes_the_same_inputs()
    {
        FuzzTarget target = FuzzTargets.Find("stack");
        byte[][] seeds = [.. target.Seeds];
        List<byte[]> inputs = Make(7);
        Assert.That(Make(7), Is.EqualTo(inputs));
        Assert.That(Make(8), Is.Not.EqualTo(inputs));

        List<byte[]> Make(int seed)
        {
            Mutator mutator = new(new Random(seed), target);
            return [.. Enumerable.Range(0, 50).Select(i => mutator.Mutate(seeds[i % seeds.Length], seeds))];
        }
    }

    /// <summary>The same octets do the same: every packet is the same.</summary>
    [Test]
    public void A_script_means_the_same_every_time([Values("stack", "cryptstack")] string name)
    {
        FuzzTarget target = FuzzTargets.Find(name);
        foreach (byte[] script in target.Seeds)
        {
            List<string> first = Trace(script);
            Assert.That(Trace(script), Is.EqualTo(first));
            Assert.That(first, Has.Count.GreaterThan(2));
        }

        List<string> Trace(byte[] script)
        {
            List<string> lines = [];
            Machine.Trace = lines.Add;
            target.RunWithin(script);
            Machine.Trace = null;
            return lines;
        }
    }

    [Test]
    public void A_broken_promise_is_a_finding_of_its_own_kind()
    {
        string kind = Findings.KindOf(new FuzzException("octet 17 of 40 is not right"));
        Assert.That(Findings.KindOf(new FuzzException("octet 3 of 9 is not right")), Is.EqualTo(kind));
        Assert.That(Findings.KindOf(new FuzzException("octets are left")), Is.Not.EqualTo(kind));
    }
}
