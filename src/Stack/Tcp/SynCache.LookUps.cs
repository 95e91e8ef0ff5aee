using System.Diagnostics.CodeAnalysis;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp;

// SYNs that wait for what an application's session store says.
internal sealed partial class SynCache
{
    /// <summary>How long a SYN waits for an application's store: less than an opener's first time-out.</summary>
    private static readonly TimeSpan s_storePatience = TimeSpan.FromMilliseconds(500);

    private readonly Dictionary<FourTuple, TcpInstant> _lookUps = [];

    /// <summary>Asks a store of the application's own for the session of a NEXTK1, and goes on with the SYN afterwards.</summary>
    private sealed class LookUp : HandshakeWork
    {
        private readonly SynCache _cache;
        private readonly ITcpcryptSessionStore _store;
        private readonly TcpListener _listener;
        private readonly FourTuple _tuple;
        private readonly byte[] _syn;
        private readonly byte[] _identifier;
        private readonly TcpcryptRole _roles;
        private readonly Seq<Local>? _minimumIsn;
        private TcpcryptSession? _session;
        private bool _hasFailed;

        public override bool MayWait => true;

        public LookUp(SynCache cache, ITcpcryptSessionStore store, TcpListener listener, in FourTuple tuple, scoped in Segment seg, ReadOnlySpan<byte> identifier, TcpcryptRole roles, Seq<Local>? minimumIsn)
        {
            _cache = cache;
            _store = store;
            _listener = listener;
            _tuple = tuple;
            _syn = seg.Octets.ToArray();
            _identifier = identifier.ToArray();
            _roles = roles;
            _minimumIsn = minimumIsn;
        }

        [SuppressMessage("Design", "CA1031", Justification = "Whatever is wrong with an application's store, the connection goes on with a full handshake.")]
        public override void Run(CryptoProvider provider, IHandshakeSecrets secrets)
        {
            try
            {
                // A copy: what the store gives may be another session, in another's hands, or wiped.
                using TcpcryptSession? taken = _store.Take(_identifier, _roles);
                _session = taken is not null && taken.HasRole(_roles) ? taken.Find(_identifier) : null;
                _hasFailed = taken is not null && _session is null;
            }
            catch (Exception)
            {
                _hasFailed = true;
            }
        }

        public override void Complete(TcpInstant now)
        {
            _cache._core.Counters.CryptStoreFailures += _hasFailed ? 1 : 0;
            if (!_cache._lookUps.Remove(_tuple) || _listener.IsClosed || _cache.IsKnown(_tuple) || !TcpHeader.TryParse(_syn, out TcpHeader header))
            {
                Dispose();
                return;
            }

            _cache.OnSyn(now, _listener, _tuple, Segment.From(header, _syn, Ecn.NotEct, 0), _minimumIsn, _session);
        }

        public override void Dispose() => _session?.Dispose();
    }

    private bool IsKnown(in FourTuple tuple) => tcp.IsKnown(tuple);
}
