using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Rekeying;

/// <summary>
/// Two hosts that re-key over a network that loses, repeats and reorders: a toy reliable transport, and keys that are only names. A segment opens when its generation is among the candidates and neither side has wiped it.
/// </summary>
internal sealed class RekeyingModel
{
    private const int SegmentOctets = 4;
    private static readonly TimeSpan s_rto = TimeSpan.FromMilliseconds(200);

    private readonly Random _random;
    private readonly PriorityQueue<(Host To, ModelSegment Segment), TimeSpan> _network = new();
    private readonly List<(Host To, ModelSegment Segment)> _captured = [];

    public RekeyingModel(int seed, RekeyLimits limits, ulong start = 1)
    {
        _random = new Random(seed);
        Left = new Host(this, limits, start);
        Right = new Host(this, limits, start);
        Left.Peer = Right;
        Right.Peer = Left;
    }

    public Host Left { get; }

    public Host Right { get; }

    public TimeSpan Now { get; private set; }

    public double Loss { get; set; }

    public double Duplication { get; set; }

    /// <summary>Some segments take this many milliseconds longer.</summary>
    public int Jitter { get; set; }

    /// <summary>An attacker sends old segments again.</summary>
    public double Replay { get; set; }

    /// <summary>What is lost by decision of the test.</summary>
    public Func<Host, ModelSegment, bool>? Drop { get; set; }

    public List<ModelSegment> Log { get; } = [];

    public void Run(TimeSpan time, Func<bool>? until = null)
    {
        TimeSpan end = Now + time;
        while (Now < end && until?.Invoke() != true)
        {
            Now += TimeSpan.FromMilliseconds(1);
            while (_network.TryPeek(out _, out TimeSpan at) && at <= Now)
            {
                (Host to, ModelSegment segment) = _network.Dequeue();
                to.OnSegment(segment);
            }

            if (_captured.Count > 0 && _random.NextDouble() < Replay)
            {
                (Host to, ModelSegment segment) = _captured[_random.Next(_captured.Count)];
                to.OnSegment(segment);
            }

            Left.OnTick();
            Right.OnTick();
        }
    }

    private void Send(Host to, ModelSegment segment)
    {
        Log.Add(segment);
        if (Replay > 0 && _captured.Count < 2000)
        {
            _captured.Add((to, segment));
        }

        for (int copy = _random.NextDouble() < Duplication ? 2 : 1; copy > 0; copy--)
        {
            if (_random.NextDouble() >= Loss && Drop?.Invoke(to, segment) != true)
            {
                _network.Enqueue((to, segment), Now + TimeSpan.FromMilliseconds(10 + (_random.Next(3) == 0 ? _random.Next(Jitter + 1) : 0)));
            }
        }
    }

    internal sealed record ModelSegment(ulong Seq, int Data, bool Fin, ulong Ack, SegmentPlan Plan)
    {
        public ulong End => Seq + (ulong)Data + (Fin ? 1UL : 0);
    }

    internal sealed class Host
    {
        private readonly RekeyingModel _model;
        private readonly Dictionary<ulong, long> _firstSentUnder = [];
        private readonly HashSet<ulong> _outOfOrder = [];
        private readonly ulong _start;
        private ulong _written;
        private ulong _una;
        private ulong _next;
        private ulong _sentEnd;
        private ulong? _finAt;
        private TimeSpan _retransmitAt = TimeSpan.MaxValue;
        private int _backoff;
        private bool _ackOwed;

        public Host(RekeyingModel model, RekeyLimits limits, ulong start)
        {
            _model = model;
            Rekeying = new SegmentRekeying(new SyncClock(), limits, start, TimeSpan.Zero);
            _start = _written = _una = _next = _sentEnd = Received = start;
        }

        public SegmentRekeying Rekeying { get; }

        public Host Peer { get; set; } = null!;

        public ulong Received { get; private set; }

        /// <summary>Segments of the peer that could not be opened.</summary>
        public int Undecryptable { get; private set; }

        public int Window { get; set; } = 10;

        public bool IsIdle => _una == _sentEnd && _sentEnd == LastOffset;

        public bool HasAll => Received == Peer.LastOffset;

        private ulong LastOffset => _written + (_finAt is null ? 0UL : 1);

        public void Write(int octets)
        {
            if (_finAt is null)
            {
                _written += (ulong)octets;
            }
        }

        public void Close() => _finAt ??= _written;

        public void OnTick()
        {
            if (_model.Now >= _retransmitAt)
            {
                _next = _una;
                _backoff = Math.Min(_backoff + 1, 5);
                _retransmitAt = _model.Now + (s_rto * (1 << _backoff));
            }

            while (_next < LastOffset && _next < _una + (ulong)(Window * SegmentOctets))
            {
                SendOne();
            }

            int acks = 0;
            while (_ackOwed || Rekeying.NeedsAck(_model.Now, _next < _written))
            {
                SendBare();
                Assert.That(++acks, Is.LessThan(4), "a host that always has another ACK to send");
            }

            Assert.That(Rekeying.GetDeadline(_model.Now) is { } at && at <= _model.Now && !Rekeying.NeedsAck(_model.Now, false), Is.False, "a deadline that has passed and wants nothing");
        }

        public void OnSegment(ModelSegment segment)
        {
            if (!Rekeying.TryGetCandidates(segment.Plan.HasRekey ? segment.Plan.KeyLsb : null, out long first, out long second) ||
                (first != segment.Plan.Generation && second != segment.Plan.Generation) || segment.Plan.Generation < Rekeying.OldestReceive)
            {
                Undecryptable++;
                return;
            }

            if (segment.Plan.SyncRequest is { } request)
            {
                Rekeying.Sync.OnRequest(request);
            }

            if (segment.Plan.SyncOk is { } ok)
            {
                Rekeying.Sync.OnOk(ok);
            }

            bool isAcceptable = segment.End == segment.Seq ? segment.Seq >= Received && segment.Seq <= Received + 400 : segment.End > Received && segment.Seq <= Received + 400;
            if (!isAcceptable)
            {
                _ackOwed = true;
                return;
            }

            if (segment.Ack > _una && segment.Ack <= _sentEnd)
            {
                _una = segment.Ack;
                _next = Math.Max(_next, _una);
                _backoff = 0;
                _retransmitAt = _una == _sentEnd ? TimeSpan.MaxValue : _model.Now + s_rto;
            }

            for (ulong offset = segment.Seq; offset < segment.End; offset++)
            {
                _outOfOrder.Add(offset);
                _ackOwed = true;
            }

            while (_outOfOrder.Remove(Received))
            {
                Received++;
            }

            Rekeying.OnOpened(_model.Now, segment.Plan.Generation, segment.Plan.HasRekey, segment.Seq, segment.Data, Received, _una);
        }

        private void SendOne()
        {
            ulong dataEnd = Math.Min(_written, _next + (ulong)_model._random.Next(1, SegmentOctets + 1));
            bool fin = _finAt is { } at && dataEnd == at;
            SegmentPlan plan = Rekeying.Plan(_model.Now, _next, dataEnd, fin);
            if (plan.End < dataEnd + (fin ? 1UL : 0))
            {
                dataEnd = Math.Min(dataEnd, plan.End);
                fin = false;
            }

            ulong end = dataEnd + (fin ? 1UL : 0);
            for (ulong offset = _next; offset < end; offset++)
            {
                Assert.That(_firstSentUnder.TryAdd(offset, plan.Generation) || _firstSentUnder[offset] == plan.Generation, $"octet {offset} under a second generation");
            }

            Send(plan, _next, (int)(dataEnd - _next), fin, end);
            _next = end;
            _sentEnd = Math.Max(_sentEnd, end);
            _retransmitAt = _retransmitAt == TimeSpan.MaxValue ? _model.Now + s_rto : _retransmitAt;
        }

        private void SendBare()
        {
            Send(Rekeying.Plan(_model.Now, _sentEnd, _sentEnd, false, _next < _written), _sentEnd, 0, false, _sentEnd);
        }

        private void Send(SegmentPlan plan, ulong seq, int data, bool fin, ulong end)
        {
            Assert.That(plan.SuboptionsLength, Is.LessThanOrEqualTo(SegmentRekeying.SuboptionsRoom));
            Assert.That(plan.Generation, Is.GreaterThanOrEqualTo(Rekeying.OldestSend), "keys that were wiped");
            Assert.That(!plan.Starts || (plan.HasRekey && (data > 0 || plan.SyncRequest is not null)), "[TD-91]: only a syncable segment initiates");
            Rekeying.OnSent(_model.Now, plan, seq, end, s_rto);
            _ackOwed = false;
            _model.Send(Peer, new ModelSegment(seq, data, fin, Received, plan));
        }
    }
}
