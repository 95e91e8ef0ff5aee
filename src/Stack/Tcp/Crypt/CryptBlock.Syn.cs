using System.Security.Cryptography;
using Tcpcrypt.Core;
using Tcpcrypt.Crypt;
using Tcpcrypt.Wire;

namespace Tcpcrypt.Tcp.Crypt;

// What is said with SYNs ([TD-17..31], [TD-36..45], [TD-108]), both sides.
internal sealed partial class CryptBlock
{
    /// <summary>What is to be done about an answer in the SYN phase.</summary>
    public enum SynAction
    {
        /// <summary>Go on with the state as it is now.</summary>
        Proceed,

        /// <summary>The segment is dropped; TCP does not see it.</summary>
        Drop,
    }

    /// <summary>CLOSED, active open ([TD-17], [TD-18], [TD-39]).</summary>
    public static CryptBlock ForOpener(TcpInstant now, CryptLayer layer, CryptSettings settings, Endpoint4 remote, TcpcryptSession? session)
    {
        CryptBlock block = new(layer, settings) { IsOpener = true };
        if (settings.Policy == TcpcryptPolicy.Disabled)
        {
            session?.Dispose();
            block.Disable(TcpcryptOutcome.DisabledHere);
        }
        else if (!settings.IsRequired && layer.PlainDestinations.Contains(now, remote))
        {
            session?.Dispose();
            block.Disable(TcpcryptOutcome.RememberedPlain);
        }
        else if (session is not null)
        {
            block.State = CryptState.NextKSent;
            block.Offered = session;
        }

        return block;
    }

    /// <summary>LISTEN, a SYN: [TD-20..22], and every way to DISABLED. The answer is written by <see cref="WriteSynAck"/>.</summary>
    public static CryptBlock ForListener(CryptLayer layer, CryptSettings settings, scoped in CryptOptions options, int peerMss, int localMss, TcpcryptSession? session)
    {
        CryptBlock block = new(layer, settings);
        if (!options.HasCrypt)
        {
            session?.Dispose();
            block.Disable(settings.Policy == TcpcryptPolicy.Disabled ? TcpcryptOutcome.DisabledHere : TcpcryptOutcome.PeerDidNotOffer);
            return block;
        }

        block.IsRemoteAware = options.Has(Suboptions.HelloAppSupport | Suboptions.HelloAppMandatory | Suboptions.NextK1AppSupport);
        if (settings.Policy == TcpcryptPolicy.Disabled)
        {
            block.Decline(TcpcryptOutcome.DisabledHere);
        }
        else if (options.Has(Suboptions.UnknownMandatory))
        {
            block.Decline(TcpcryptOutcome.NoCommonAlgorithm, CryptOptions.OpcodesOf(options.UnknownMandatory));
        }
        else if (options.Has(Suboptions.Decline))
        {
            block.Disable(TcpcryptOutcome.PeerDeclined);
        }
        else if ((options.Has(Suboptions.HelloAppMandatory) && !block.IsLocalAware) || (settings.Awareness == TcpcryptAwareness.Required && !block.IsRemoteAware))
        {
            block.Decline(TcpcryptOutcome.AwarenessMismatch);
        }
        else if (session is not null)
        {
            block.Offered = session;
            block.State = CryptState.NextKSent;
            return block;
        }
        else if (!options.Has(Suboptions.AnyHello | Suboptions.AnyNextK1))
        {
            block.Decline(TcpcryptOutcome.PeerDidNotOffer);
        }
        else if (!settings.MayBeS)
        {
            block.State = CryptState.HelloSent;
            block._isBitOfCHidden = block.IsLocalAware;
        }
        else if (block.TryMakePkConf(peerMss, localMss))
        {
            block.State = CryptState.SMode;
            block.Role = TcpcryptRole.S;
        }
        else
        {
            block.Decline(TcpcryptOutcome.NoCommonAlgorithm);
        }

        session?.Dispose();
        return block;
    }

    /// <summary>The suboptions of a SYN.</summary>
    public void WriteSyn(ref SuboptionWriter writer)
    {
        byte hello = Settings.Awareness switch
        {
            TcpcryptAwareness.Yes => Opcode.HelloAppSupport,
            TcpcryptAwareness.Required => Opcode.HelloAppMandatory,
            _ => 0,
        };
        if (State == CryptState.NextKSent && Offered is { } session)
        {
            // [TD-59], [TD-135].
            if (session.Agreement.Dialect == TcpcryptDialect.Reference)
            {
                writer.Fixed(hello == 0 ? Opcode.NextK1 : Opcode.NextK1AppSupport, session.Identifier);
                return;
            }

            if (hello != 0)
            {
                writer.Opcode(hello);
            }

            writer.Fixed(Opcode.NextK1, session.Identifier);
        }
        else if (hello != 0)
        {
            writer.Opcode(hello);       // an empty option is HELLO ([TD-3])
        }
    }

    /// <summary>The suboptions of a SYN,ACK; nothing is written where the option is left out.</summary>
    public void WriteSynAck(ref SuboptionWriter writer)
    {
        switch (State)
        {
            case CryptState.SMode:
                IsPkConfPending = false;
                WritePkConf(ref writer);
                break;
            case CryptState.HelloSent:
                if (IsLocalAware)
                {
                    writer.Opcode(Opcode.HelloAppSupport);
                }

                writer.Opcode(Opcode.Hello);
                break;
            case CryptState.Encrypting:
                writer.Opcode(IsLocalAware ? Opcode.NextK2AppSupport : Opcode.NextK2);
                break;
            case CryptState.Disabled when Farewell is { } farewell:
                _isFarewellSaid = true;
                foreach (byte octet in farewell)
                {
                    writer.Opcode(octet);
                }

                break;
            default:
                break;
        }
    }

    public void WritePkConf(ref SuboptionWriter writer) => writer.Variable(IsLocalAware ? Opcode.PkConfAppSupport : Opcode.PkConf, PkConf);

    /// <summary>SYN,ACK in HELLO-SENT or NEXTK-SENT ([TD-23], [TD-24], [TD-27], [TD-29], [TD-30]; precedence [TD-36]).</summary>
    public void OnSynAck(scoped in CryptOptions options, int peerMss, int localMss)
    {
        IsRemoteAware = options.Has(Suboptions.HelloAppSupport | Suboptions.HelloAppMandatory | Suboptions.PkConfAppSupport | Suboptions.NextK2AppSupport);
        if (options.Has(Suboptions.SynCookie))
        {
            AckCookie = options.SynCookie.ToArray();
        }

        if (IsSynPlain && !options.Has(Suboptions.AnyNextK2))
        {
            ForgetSession();
            Disable(TcpcryptOutcome.SynUnanswered);
        }
        else if (!options.HasCrypt)
        {
            // [TD-107]: NEXTK2 may have been lost on the way, and would be the next time.
            ForgetSession();
            Disable(TcpcryptOutcome.PeerDidNotOffer);
        }
        else if (options.Has(Suboptions.UnknownMandatory))
        {
            Decline(TcpcryptOutcome.NoCommonAlgorithm, CryptOptions.OpcodesOf(options.UnknownMandatory));
        }
        else if (options.Has(Suboptions.Decline))
        {
            Disable(TcpcryptOutcome.PeerDeclined);
        }
        else if (options.Has(Suboptions.AnyNextK2))
        {
            OnNextK2();
        }
        else if (options.Has(Suboptions.AnyPkConf))
        {
            OnPkConf(options, peerMss, localMss);
        }
        else if (options.Has(Suboptions.AnyHello))
        {
            OnHello(options, peerMss, localMss);
        }
        else
        {
            Disable(TcpcryptOutcome.PeerDidNotOffer);
        }
    }

    /// <summary>A SYN without ACK in HELLO-SENT or NEXTK-SENT: simultaneous open ([TD-25], [TD-26], [TD-28], [TD-30], [TD-31]).</summary>
    public SynAction OnSimultaneousSyn(scoped in CryptOptions options, int peerMss, int localMss)
    {
        IsRemoteAware = options.Has(Suboptions.HelloAppSupport | Suboptions.HelloAppMandatory | Suboptions.NextK1AppSupport);
        if (!options.HasCrypt || IsSynPlain)
        {
            Disable(IsSynPlain ? TcpcryptOutcome.SynUnanswered : TcpcryptOutcome.PeerDidNotOffer);
        }
        else if (options.Has(Suboptions.UnknownMandatory))
        {
            Decline(TcpcryptOutcome.NoCommonAlgorithm, CryptOptions.OpcodesOf(options.UnknownMandatory));
        }
        else if (options.Has(Suboptions.Decline))
        {
            Disable(TcpcryptOutcome.PeerDeclined);
        }
        else if (State == CryptState.NextKSent && options.Has(Suboptions.AnyNextK1) && CryptographicOperations.FixedTimeEquals(options.SessionIdentifier, Offered!.Identifier))
        {
            // [TD-60]: the caller derives the keys.
            return SynAction.Proceed;
        }
        else if (!Settings.MayBeS)
        {
            ForgetSession();
            State = CryptState.HelloSent;
            if (DroppedHellos++ < 2)
            {
                return SynAction.Drop;
            }

            Disable(TcpcryptOutcome.RoleConflict);      // [TD-37]
        }
        else
        {
            OnHello(options, peerMss, localMss);
        }

        return SynAction.Proceed;
    }

    /// <summary>PKCONF* in HELLO-SENT or NEXTK-SENT: C-MODE, with a key exchange and a dialect.</summary>
    public void OnPkConf(scoped in CryptOptions options, int peerMss, int localMss)
    {
        ForgetSession();
        IsRemoteAware = options.Has(Suboptions.PkConfAppSupport);
        if (!Settings.MayBeC)
        {
            Disable(TcpcryptOutcome.RoleConflict);
        }
        else if (Settings.Awareness == TcpcryptAwareness.Required && !IsRemoteAware)
        {
            Disable(TcpcryptOutcome.AwarenessMismatch);
        }
        else if (TryChoose(options.PkConf, peerMss, localMss))
        {
            PkConf = options.PkConf.ToArray();
            Role = TcpcryptRole.C;
            State = CryptState.CMode;
        }
        else
        {
            // [TD-48].
            Decline(TcpcryptOutcome.NoCommonAlgorithm, Opcode.PkConf);
        }
    }

    /// <summary>S-MODE again, from a cookie ([TD-58]).</summary>
    public static CryptBlock FromCookie(CryptLayer layer, CryptSettings settings, in CookieFacts facts)
    {
        CryptBlock block = new(layer, settings) { State = CryptState.SMode, Role = TcpcryptRole.S, IsRemoteAware = facts.IsRemoteAware };
        block.OfferOnly(facts.KeyExchange);
        return block;
    }

    /// <summary>The key exchange that PKCONF of a SYN,ACK with a cookie has room for: the first.</summary>
    public TcpcryptKeyExchange OfferFirst()
    {
        PkConfList.Choose(PkConf, Settings.KeyExchanges, TcpcryptDialect.Draft, out TcpcryptKeyExchange first, out _);
        OfferOnly(first);
        return first;
    }

    private void OfferOnly(TcpcryptKeyExchange keyExchange)
    {
        Span<byte> list = stackalloc byte[PkConfList.MaxLength];
        PkConf = list[..PkConfList.Write([keyExchange], Settings.SendsMarker, list)].ToArray();
    }

    /// <summary>C's choice out of PKCONF; valid in C-MODE.</summary>
    public TcpcryptKeyExchange KeyExchange { get; private set; }

    public TcpcryptDialect Dialect { get; private set; }

    private void OnNextK2()
    {
        if (State != CryptState.NextKSent)
        {
            Disable(TcpcryptOutcome.HandshakeFailed);
        }
        else if (Settings.Awareness == TcpcryptAwareness.Required && !IsRemoteAware)
        {
            // [TD-109]: the peer encrypts already, so there is no way back to plain.
            IsAborting = true;
            Disable(TcpcryptOutcome.AwarenessMismatch);
        }
    }

    /// <summary>The peer is encrypting, or may have taken INIT for data: the connection cannot go on in plain.</summary>
    public bool IsAborting { get; private set; }

    private void OnHello(scoped in CryptOptions options, int peerMss, int localMss)
    {
        ForgetSession();
        if (!Settings.MayBeS)
        {
            Disable(TcpcryptOutcome.RoleConflict);
        }
        else if ((options.Has(Suboptions.HelloAppMandatory) && !IsLocalAware) || (Settings.Awareness == TcpcryptAwareness.Required && !IsRemoteAware))
        {
            Decline(TcpcryptOutcome.AwarenessMismatch);
        }
        else if (TryMakePkConf(peerMss, localMss))
        {
            Role = TcpcryptRole.S;
            State = CryptState.SMode;
            IsPkConfPending = true;
            _isBitOfCHidden = options.Has(Suboptions.Hello) && options.Has(Suboptions.HelloAppSupport);
        }
        else
        {
            Decline(TcpcryptOutcome.NoCommonAlgorithm);
        }
    }

    /// <summary>A miss: the rest of the chain is of no use ([TD-103]).</summary>
    private void ForgetSession()
    {
        if (Offered is { } offered)
        {
            Offered = null;
            Layer.Forget(offered);
            offered.Dispose();
        }
    }

    /// <summary>To DISABLED with DECLINE, and UNKNOWN where there are opcodes that were not understood, or understood in vain ([TD-46..48]).</summary>
    public void Decline(TcpcryptOutcome outcome, params ReadOnlySpan<byte> unknown)
    {
        Disable(outcome);
        Farewell = unknown.IsEmpty ? [Opcode.Decline] : [Opcode.Decline, Opcode.Unknown, (byte)(2 + unknown.Length), .. unknown];
    }

    /// <summary>What we offer as S, less what does not fit into one segment ([TD-64]).</summary>
    private bool TryMakePkConf(int peerMss, int localMss)
    {
        Span<TcpcryptKeyExchange> fitting = stackalloc TcpcryptKeyExchange[Settings.KeyExchanges.Length];
        int count = 0;
        foreach (TcpcryptKeyExchange keyExchange in Settings.KeyExchanges)
        {
            // C may take any size of RSA key; in dialect Reference it is the largest.
            if (Fits(keyExchange, RsaKeyMax, peerMss, localMss))
            {
                fitting[count++] = keyExchange;
            }
        }

        if (count == 0)
        {
            return false;
        }

        Span<byte> list = stackalloc byte[PkConfList.MaxLength];
        PkConf = list[..PkConfList.Write(fitting[..count], Settings.SendsMarker, list)].ToArray();
        return true;
    }

    private bool TryChoose(ReadOnlySpan<byte> list, int peerMss, int localMss)
    {
        // The marker stands last, and the dialect says how large an RSA key has to be.
        PkConfList.Choose(list, Settings.KeyExchanges, Settings.UnknownPeerDialect, out _, out TcpcryptDialect dialect);
        int rsaBits = dialect == TcpcryptDialect.Reference ? RsaKeyMax : Settings.RsaKeySize;
        Span<TcpcryptKeyExchange> supported = stackalloc TcpcryptKeyExchange[Settings.KeyExchanges.Length];
        int count = 0;
        foreach (TcpcryptKeyExchange keyExchange in Settings.KeyExchanges)
        {
            // RSA costs C a key and 6 ms: only where the application wants it, or where there is no other way.
            if (Fits(keyExchange, rsaBits, peerMss, localMss) && (keyExchange != TcpcryptKeyExchange.OaepRsa || Settings.PrepareRsaKey))
            {
                supported[count++] = keyExchange;
            }
        }

        HandshakeError error = PkConfList.Choose(list, supported[..count], dialect, out TcpcryptKeyExchange chosen, out _);
        if (error != HandshakeError.None && Settings.KeyExchanges.Contains(TcpcryptKeyExchange.OaepRsa) && Fits(TcpcryptKeyExchange.OaepRsa, rsaBits, peerMss, localMss))
        {
            error = PkConfList.Choose(list, [TcpcryptKeyExchange.OaepRsa], dialect, out chosen, out _);
        }

        KeyExchange = chosen;
        Dialect = dialect;

        // The only cipher of dialect Reference.
        return error == HandshakeError.None && (dialect == TcpcryptDialect.Draft || Settings.OfferedCiphers.Contains(TcpcryptCipher.Aes128HmacSha256));
    }

    private const int RsaKeyMax = 4096;

    /// <summary>
    /// Both messages can be one segment each of what either side takes, with their options: timestamps, CRYPT, and in INIT1 the cookie ([TD-64], RFC 6691). What the path takes is not asked: where it is less, the messages leave
    /// without the don't-fragment bit.
    /// </summary>
    private bool Fits(TcpcryptKeyExchange keyExchange, int rsaBits, int peerMss, int localMss)
    {
        int publicKey = keyExchange == TcpcryptKeyExchange.OaepRsa ? rsaBits / 8 : InitMessage.PublicKeyLength(keyExchange);
        int init1 = InitMessage.Length1(publicKey, Settings.OfferedCiphers.Length) + (AckCookie is { } cookie ? InitOptionLength(cookie.Length) : InitOptionLength());
        int init2 = InitMessage.Length2(keyExchange, publicKey) + InitOptionLength();
        return Math.Max(init1, init2) <= Math.Min(peerMss, localMss) - SynAgreement.TimestampsLength;
    }

    /// <summary>The padded CRYPT option of an INIT message: the opcode, and behind its own two octets a cookie.</summary>
    private static int InitOptionLength(int? cookieLength = null) => (3 + (cookieLength is { } length ? 2 + length : 0) + 3) & ~3;
}
