using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Rekeying;

/// <summary>One host, step by step; the network is in <see cref="RekeyingModelTests"/>.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed class SegmentRekeyingTests
{
    private static readonly TimeSpan s_rto = TimeSpan.FromSeconds(1);
    private readonly SyncClock _sync = new();
    private TimeSpan _now;
    private ulong _una = 1;
    private ulong _next = 1;
    private ulong _received = 1;

    [SetUp]
    public void SetUp() => Rekeying = new SegmentRekeying(_sync, new RekeyLimits(), 1, TimeSpan.Zero);

    private SegmentRekeying Rekeying { get; set; } = null!;

    [Test]
    [Spec("TD-91")]
    public void Nothing_is_labelled_before_the_first_rekeying()
    {
        SegmentPlan plan = SendData(10);
        Assert.That((plan.Generation, plan.HasRekey, plan.SuboptionsLength, plan.End), Is.EqualTo((0L, false, 0, 11UL)));
        Assert.That(Rekeying.NeedsAck(_now, false), Is.False);
        Assert.That(Rekeying.GetDeadline(_now), Is.Null);
    }

    [Test]
    [Spec("TD-91")]
    [Spec("TD-93")]
    public void New_data_initiates_and_repeated_octets_keep_their_generation_and_label()
    {
        SendData(10);
        Rekeying.Request();
        Assert.That(Rekeying.NeedsAck(_now, hasUnsentData: true), Is.False, "the data will do it");
        SegmentPlan started = SendData(10);
        Assert.That((started.Generation, started.Starts, started.HasRekey, started.KeyLsb), Is.EqualTo((1L, true, true, (byte)1)));
        using (Assert.EnterMultipleScope())
        {
            // Segments never mix generations: the repeated one ends where the generation does.
            SegmentPlan repeated = Rekeying.Plan(_now, 1, 21, false);
            Assert.That((repeated.Generation, repeated.End, repeated.HasRekey, repeated.KeyLsb, repeated.Starts), Is.EqualTo((0L, 11UL, true, (byte)0, false)));
            SegmentPlan middle = Rekeying.Plan(_now, 5, 8, false);
            Assert.That((middle.Generation, middle.End), Is.EqualTo((0L, 8UL)));
            SegmentPlan later = Rekeying.Plan(_now, 11, 30, false);
            Assert.That((later.Generation, later.End), Is.EqualTo((1L, 30UL)), "new octets have the same keys");
            SegmentPlan bare = Rekeying.Plan(_now, _next, _next, false);
            Assert.That((bare.Generation, bare.HasRekey), Is.EqualTo((1L, true)));
        }
    }

    [Test]
    [Spec("TD-91")]
    public void FIN_alone_does_not_initiate_and_keeps_the_generation_it_was_first_sent_under()
    {
        SendData(10);
        Acknowledge(11);
        Rekeying.Request();
        SegmentPlan fin = Rekeying.Plan(_now, 11, 11, fin: true);
        Assert.That((fin.Generation, fin.Starts, fin.HasRekey, fin.End), Is.EqualTo((0L, false, false, 12UL)));
        Rekeying.OnSent(_now, fin, 11, 12, s_rto);

        SegmentPlan bare = SendBare(12);
        Assert.That((bare.Starts, bare.Generation, bare.SyncRequest), Is.EqualTo((true, 1L, 1u)));
        SegmentPlan again = Rekeying.Plan(_now, 11, 11, fin: true);
        Assert.That((again.Generation, again.HasRekey, again.KeyLsb), Is.EqualTo((0L, true, (byte)0)));
    }

    [Test]
    [Spec("TD-93")]
    public void Data_and_FIN_of_different_generations_go_apart()
    {
        SendData(10);
        Rekeying.Request();
        SendData(5);
        SegmentPlan fin = Rekeying.Plan(_now, 16, 16, fin: true);
        Rekeying.OnSent(_now, fin, 16, 17, s_rto);
        Assert.That(Rekeying.Plan(_now, 1, 16, fin: true).End, Is.EqualTo(11));
        Assert.That(Rekeying.Plan(_now, 11, 16, fin: true).End, Is.EqualTo(17));
    }

    [Test]
    [Spec("TD-91")]
    [Spec("TD-96")]
    public void A_bare_ACK_initiates_with_a_fresh_SYNC_REQ_and_is_repeated_with_back_off()
    {
        Rekeying.Request();
        Assert.That(Rekeying.NeedsAck(_now, hasUnsentData: false));
        SegmentPlan plan = SendBare();
        Assert.That((plan.Starts, plan.Generation, plan.HasRekey, plan.SyncRequest, plan.SuboptionsLength), Is.EqualTo((true, 1L, true, 1u, 7)));
        TimeSpan wait = s_rto;
        for (uint clock = 2; clock < 8; clock++)
        {
            Assert.That(Rekeying.NeedsAck(_now, false), Is.False);
            Assert.That(SendBare().SyncRequest, Is.Null, "an ACK for another reason carries the label alone");
            Assert.That(Rekeying.GetDeadline(_now), Is.EqualTo(_now + wait));
            _now += wait;
            Assert.That(Rekeying.NeedsAck(_now, false));
            SegmentPlan repeated = SendBare();
            Assert.That((repeated.Starts, repeated.Generation, repeated.SyncRequest), Is.EqualTo((false, 1L, clock)));
            wait = TimeSpan.FromTicks(Math.Min(wait.Ticks * 2, TimeSpan.FromSeconds(60).Ticks));
        }

        _sync.OnOk(7);
        Open(1, hasLabel: true);
        Assert.That((Rekeying.IsLabelling, Rekeying.Settled), Is.EqualTo((false, 1L)));
        Assert.That(Rekeying.GetDeadline(_now), Is.Null);
    }

    [Test]
    [Spec("TD-96")]
    public void A_SYNC_OK_from_before_the_initiation_proves_nothing()
    {
        SegmentPlan keepAlive = Rekeying.Plan(_now, 1, 1, false, wantSync: true);
        Rekeying.OnSent(_now, keepAlive, 1, 1, s_rto);
        Assert.That(keepAlive.SyncRequest, Is.EqualTo(1));
        Rekeying.Request();
        Assert.That(SendBare().SyncRequest, Is.EqualTo(2));
        _sync.OnOk(1);
        Open(0, hasLabel: false);
        Assert.That(Rekeying.IsLabelling);
        _sync.OnOk(2);
        Open(1, hasLabel: true);
        Assert.That(Rekeying.IsLabelling, Is.False);
    }

    [Test]
    [Spec("TD-96")]
    public void A_SYNC_REQ_on_octets_of_old_keys_proves_nothing_about_the_new_ones()
    {
        SendData(10);
        Rekeying.Request();
        Assert.That(SendBare().SyncRequest, Is.EqualTo(1));
        SegmentPlan old = Rekeying.Plan(_now, 1, 11, false, wantSync: true);
        Assert.That((old.Generation, old.SyncRequest), Is.EqualTo((0L, 2u)));
        Rekeying.OnSent(_now, old, 1, 11, s_rto);

        // The peer has the second only, and never saw the new keys.
        _sync.OnOk(2);
        Acknowledge(11, generation: 0);
        Assert.That(Rekeying.IsLabelling);
        Assert.That(Rekeying.NeedsAck(_now, false), "it asks again, under the new keys");
        Assert.That(SendBare().SyncRequest, Is.EqualTo(3));
        _sync.OnOk(3);
        Open(1, hasLabel: true);
        Assert.That(Rekeying.IsLabelling, Is.False);
    }

    [Test]
    [Spec("TD-96")]
    public void The_number_of_the_bare_ACK_must_be_covered_as_well()
    {
        SendData(10);
        Rekeying.Request();
        SendBare();
        _sync.OnOk(1);
        Open(1, hasLabel: true);
        Assert.That(Rekeying.IsLabelling, "octets before it are missing");
        Acknowledge(11, generation: 1, hasLabel: true);
        Assert.That(Rekeying.IsLabelling, Is.False);
    }

    [Test]
    [Spec("TD-96")]
    public void Labelling_ends_when_an_octet_of_the_generation_is_acknowledged()
    {
        SendData(10);
        long target = Rekeying.Request();
        SendData(10);
        Acknowledge(11, generation: 1, hasLabel: true);
        Assert.That((Rekeying.IsLabelling, Rekeying.Settled < target), Is.EqualTo((true, true)), "those were of the old one");
        Acknowledge(21, generation: 1, hasLabel: true);
        Assert.That((Rekeying.IsLabelling, Rekeying.Settled), Is.EqualTo((false, target)));
        Assert.That(Rekeying.Plan(_now, _next, _next + 1, false).HasRekey, Is.False);
    }

    [Test]
    [Spec("TD-95")]
    [Spec("TD-96")]
    public void A_follower_says_so_at_once_and_labels_until_the_peer_does_not()
    {
        Receive(10, 1, hasLabel: true);
        Assert.That((Rekeying.Transmit, Rekeying.Receive, Rekeying.IsLabelling), Is.EqualTo((1L, 1L, true)));
        Assert.That(Rekeying.NeedsAck(_now, true), "REKEY on a bare ACK");
        SegmentPlan plan = SendBare();
        Assert.That((plan.Generation, plan.HasRekey, plan.Starts), Is.EqualTo((1L, true, false)));
        Assert.That(Rekeying.NeedsAck(_now, true), Is.False);
        Receive(10, 1, hasLabel: true);
        Assert.That(Rekeying.IsLabelling);
        Receive(10, 1, hasLabel: false);
        Assert.That((Rekeying.IsLabelling, Rekeying.Settled), Is.EqualTo((false, 1L)));
    }

    [Test]
    [Spec("TD-96")]
    public void A_follower_with_octets_on_their_way_does_not_believe_a_peer_without_label()
    {
        // The peer may have learnt from the acknowledgment in a repeated segment of the old keys that we switched: it then has never seen our new ones.
        SendData(10);
        Receive(10, 1, hasLabel: true);
        SendBare();
        Receive(10, 1, hasLabel: false);
        Acknowledge(11, generation: 1);
        Assert.That(Rekeying.IsLabelling);
        Assert.That(Rekeying.NeedsAck(_now, false), Is.False, "nobody waits for it");
        Assert.That(SendBare().SyncRequest, Is.EqualTo(1), "but the next ACK asks");
        _sync.OnOk(1);
        Open(1, hasLabel: false);
        Assert.That(Rekeying.IsLabelling, Is.False);
    }

    [Test]
    [Spec("TD-95")]
    public void A_switch_waits_for_everything_before_the_segment_and_takes_the_highest()
    {
        Rekeying.OnOpened(_now, 3, true, 50, 10, received: 1, acknowledged: 1);
        Rekeying.OnOpened(_now, 2, true, 30, 10, received: 1, acknowledged: 1);
        Rekeying.OnOpened(_now, 1, true, 10, 10, received: 1, acknowledged: 1);
        Assert.That((Rekeying.Transmit, Rekeying.Receive), Is.EqualTo((0L, 0L)));
        Rekeying.OnOpened(_now, 0, true, 1, 9, received: 20, acknowledged: 1);
        Assert.That((Rekeying.Transmit, Rekeying.Receive), Is.EqualTo((1L, 1L)));
        Rekeying.OnOpened(_now, 1, true, 20, 10, received: 60, acknowledged: 1);
        Assert.That((Rekeying.Transmit, Rekeying.Receive), Is.EqualTo((3L, 3L)));
    }

    [Test]
    [Spec("TD-95")]
    [Spec("TD-124")]
    [Spec("HI_ENC_08")]
    public void A_peer_that_rekeys_with_every_octet_behind_a_gap_does_not_grow_anything()
    {
        for (ulong step = 1; step <= 120; step++)
        {
            Rekeying.OnOpened(_now, (long)step, true, 10 * step, 1, received: 1, acknowledged: 1);
        }

        Rekeying.OnOpened(_now, 0, true, 1, 9, received: 5000, acknowledged: 1);
        Assert.That(Rekeying.Transmit, Is.EqualTo(120), "the highest is kept");
    }

    [TestCase(0, 1, 1)]
    [TestCase(0, 127, 127)]
    [TestCase(0, 128, null)]
    [TestCase(0, 255, null)]
    [Spec("TD-94")]
    public void A_label_is_the_nearest_generation(long transmit, byte label, long? expected)
    {
        Assert.That(Rekeying.Transmit, Is.EqualTo(transmit));
        bool isKnown = Rekeying.TryGetCandidates(label, out long first, out long second);
        Assert.That(isKnown ? first : (long?)null, Is.EqualTo(expected));
        Assert.That(second, Is.EqualTo(first));
    }

    [Test]
    [Spec("TD-97")]
    [Spec("TD-124")]
    public void Without_a_label_two_generations_are_tried_at_most()
    {
        Assert.That(Candidates(null), Is.EqualTo((0L, 0L)));
        Receive(10, 1, hasLabel: true);
        Assert.That(Candidates(null), Is.EqualTo((1L, 0L)));
        Receive(10, 1, hasLabel: false);
        Assert.That(Candidates(null), Is.EqualTo((1L, 1L)), "the old ones are wiped");

        SendBare();
        Rekeying.Request();
        SendData(5);
        Assert.That(Candidates(null), Is.EqualTo((1L, 2L)), "the peer may follow without our seeing a label");
    }

    [Test]
    [Spec("TD-98")]
    public void Old_keys_are_done_with_when_their_octets_are_acknowledged_or_the_peer_stops_labelling()
    {
        SendData(10);
        Rekeying.Request();
        SendData(10);
        Assert.That(Rekeying.OldestSend, Is.Zero);
        Acknowledge(5, 1, hasLabel: true);
        Assert.That(Rekeying.OldestSend, Is.Zero);
        Acknowledge(11, 1, hasLabel: true);
        Assert.That(Rekeying.OldestSend, Is.EqualTo(1));
        Assert.That(Rekeying.OldestReceive, Is.Zero, "the peer repeats what it has no acknowledgment for");
        Assert.That(Rekeying.TryGetCandidates(0, out _, out _));
        Open(1, hasLabel: false);
        Assert.That(Rekeying.OldestReceive, Is.EqualTo(1));
        Assert.That(Rekeying.TryGetCandidates(0, out _, out _), Is.False);
    }

    [Test]
    [Spec("TD-92")]
    public void This_host_initiates_again_after_a_minute_or_a_mebibyte()
    {
        Initiate();
        long target = Rekeying.Request();
        Assert.That(Rekeying.NeedsAck(_now, false), Is.False);
        Assert.That(Rekeying.GetDeadline(_now), Is.EqualTo(_now + TimeSpan.FromSeconds(60)));
        Assert.That(SendData(100).Starts, Is.False);
        _now += TimeSpan.FromSeconds(60);
        Assert.That(Rekeying.NeedsAck(_now, false));
        SegmentPlan bare = SendBare();
        Assert.That((bare.Starts, bare.Generation), Is.EqualTo((true, target)));
        _sync.OnOk(bare.SyncRequest!.Value);
        Acknowledge(_next, target);

        Rekeying.Request();
        Assert.That(SendData((1 << 20) - 1).Starts, Is.False);
        Assert.That(SendData(1).Starts, Is.False);
        Assert.That(SendData(1).Starts, "1 MiB was sent");
    }

    [Test]
    [Spec("TD-92")]
    public void No_second_bare_initiation_while_one_is_running()
    {
        Rekeying.Request();
        SendBare();
        _now += TimeSpan.FromHours(1);
        SendBare();
        Rekeying.Request();
        Assert.That(Rekeying.NeedsAck(_now, false), Is.False);
        Assert.That(SendBare().Starts, Is.False);
    }

    [Test]
    [Spec("TD-92")]
    [Spec("HI_ENC_08")]
    public void Generations_on_their_way_stay_within_what_a_label_can_tell()
    {
        Rekeying = new SegmentRekeying(_sync, new RekeyLimits { LeastInterval = TimeSpan.Zero }, 1, TimeSpan.Zero);
        while (Rekeying.Transmit < 1000)
        {
            long before = Rekeying.Transmit;
            Rekeying.Request();
            SendData(1);
            if (Rekeying.Transmit == before)
            {
                break;
            }
        }

        Assert.That(Rekeying.Transmit, Is.EqualTo(126));
        Assert.That(Rekeying.MayInitiate(_now), Is.False);
        Acknowledge(2, 126, hasLabel: true);
        Assert.That(Rekeying.MayInitiate(_now), Is.False, "the peer may still repeat octets of generation 0");
        Open(126, hasLabel: false);
        Assert.That(Rekeying.MayInitiate(_now));
    }

    [Test]
    [Spec("TD-100")]
    public void Keys_are_renewed_after_octets_in_either_direction_or_an_hour()
    {
        RekeyLimits limits = new() { AfterBytes = 100, LeastInterval = TimeSpan.Zero };
        Rekeying = new SegmentRekeying(_sync, limits, 1, _now);
        Assert.That(SendData(99).Starts, Is.False);
        Assert.That(SendData(1).Starts, Is.False);
        Assert.That(SendData(1).Starts, "100 octets sent");
        Acknowledge(_next, 1, hasLabel: true);
        Receive(99, 1, hasLabel: false);
        Assert.That(Rekeying.NeedsAck(_now, false), Is.False);
        Receive(1, 1, hasLabel: false);
        Assert.That(Rekeying.NeedsAck(_now, false), "100 octets received");
        SegmentPlan plan = SendBare();
        Assert.That((plan.Starts, plan.Generation), Is.EqualTo((true, 2L)));
        _sync.OnOk(plan.SyncRequest!.Value);
        Open(2, hasLabel: true);

        _now += TimeSpan.FromHours(1);
        Assert.That(Rekeying.NeedsAck(_now, false), Is.False, "an idle connection is left alone");
        Assert.That(SendData(1).Starts);
    }

    [Test]
    [Spec("TD-110")]
    public void REKEY_and_SYNC_OK_go_first_and_SYNC_REQ_waits()
    {
        _sync.OnRequest(9);
        Rekeying.Request();
        SegmentPlan first = SendBare();
        Assert.That((first.Starts, first.SyncOk, first.SyncRequest, first.SuboptionsLength), Is.EqualTo((false, 9u, (uint?)null, 5)));
        Assert.That(_sync.IsOkOwed, Is.False);
        SegmentPlan second = SendBare();
        Assert.That((second.Starts, second.SyncRequest), Is.EqualTo((true, 1u)));

        _sync.OnRequest(10);
        SegmentPlan third = Rekeying.Plan(_now, 1, 1, false, wantSync: true);
        Assert.That((third.HasRekey, third.SyncOk, third.SyncRequest), Is.EqualTo((true, 10u, (uint?)null)));
        SegmentPlan wide = Rekeying.Plan(_now, 1, 1, false, wantSync: true, room: 12);
        Assert.That((wide.HasRekey, wide.SyncOk, wide.SyncRequest, wide.SuboptionsLength), Is.EqualTo((true, 10u, 2u, 12)));
        SegmentPlan narrow = Rekeying.Plan(_now, 1, 1, false, room: 2);
        Assert.That((narrow.HasRekey, narrow.SyncOk), Is.EqualTo((true, (uint?)null)));
    }

    [Test]
    [Spec("TD-91")]
    public void Without_room_for_SYNC_REQ_a_bare_ACK_does_not_initiate()
    {
        Rekeying.Request();
        Assert.That(Rekeying.Plan(_now, 1, 1, false, room: 6).Starts, Is.False);
        Assert.That(Rekeying.Plan(_now, 1, 1, false, room: 7).Starts);
    }

    [Test]
    [Spec("TD-88")]
    public void An_owed_SYNC_OK_is_a_reason_for_an_ACK()
    {
        _sync.OnRequest(1);
        Assert.That(Rekeying.NeedsAck(_now, true));
        Assert.That(SendBare().SyncOk, Is.EqualTo(1));
        Assert.That(Rekeying.NeedsAck(_now, true), Is.False);
    }

    [Test]
    [Spec("TD-95")]
    public void A_request_is_fulfilled_when_the_peer_initiates_first()
    {
        Initiate();
        long target = Rekeying.Request();
        Receive(10, 2, hasLabel: true);
        Assert.That(Rekeying.Transmit, Is.EqualTo(target));
        SegmentPlan plan = SendBare();
        Assert.That((plan.Starts, plan.SyncRequest is not null), Is.EqualTo((false, true)), "somebody waits: the peer is asked, it may have nothing to say");
        _sync.OnOk(plan.SyncRequest!.Value);
        Open(2, hasLabel: true);
        Assert.That(Rekeying.Settled, Is.EqualTo(target));
    }

    /// <summary>Generation 1 by data, acknowledged, no label left.</summary>
    private void Initiate()
    {
        Rekeying.Request();
        Assert.That(SendData(1).Starts);
        Acknowledge(_next, 1, hasLabel: true);
        Open(1, hasLabel: false);
        Assert.That(Rekeying.IsLabelling, Is.False);
    }

    private SegmentPlan SendData(ulong octets)
    {
        SegmentPlan plan = Rekeying.Plan(_now, _next, _next + octets, false);
        Assert.That(plan.End, Is.EqualTo(_next + octets));
        Rekeying.OnSent(_now, plan, _next, plan.End, s_rto);
        _next = plan.End;
        return plan;
    }

    private SegmentPlan SendBare(ulong? at = null)
    {
        ulong offset = at ?? _next;
        SegmentPlan plan = Rekeying.Plan(_now, offset, offset, false);
        Rekeying.OnSent(_now, plan, offset, offset, s_rto);
        return plan;
    }

    private void Open(long generation, bool hasLabel) => Rekeying.OnOpened(_now, generation, hasLabel, _received, 0, _received, _una);

    private void Acknowledge(ulong una, long generation = 0, bool hasLabel = false)
    {
        _una = una;
        Open(generation, hasLabel);
    }

    private void Receive(int octets, long generation, bool hasLabel)
    {
        ulong offset = _received;
        _received += (ulong)octets;
        Rekeying.OnOpened(_now, generation, hasLabel, offset, octets, _received, _una);
    }

    private (long First, long Second) Candidates(byte? label)
    {
        Assert.That(Rekeying.TryGetCandidates(label, out long first, out long second));
        return (first, second);
    }
}
