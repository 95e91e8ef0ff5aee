using Tcpcrypt.Crypt;

namespace Tcpcrypt.Core;

/// <summary>Public-key work of one handshake: done outside of the core, so that established traffic does not wait for it, and brought back as a call.</summary>
internal abstract class HandshakeWork : IDisposable
{
    /// <summary>It calls code of the application's, which may take its time, or never return: no public-key work waits behind it.</summary>
    public virtual bool MayWait => false;

    /// <summary>With a fast provider it takes less than a thread that has to be awakened: below 0.1 ms.</summary>
    public virtual bool IsShort => false;

    /// <summary>The work itself, on whatever thread the owner has for it; must not touch the core.</summary>
    public abstract void Run(CryptoProvider provider, IHandshakeSecrets secrets);

    /// <summary>The work is done. Called under the core's lock.</summary>
    public abstract void Complete(TcpInstant now);

    /// <summary>Nobody wants the result: lets go of secrets.</summary>
    public abstract void Dispose();
}

/// <summary>Entropy and keys, for the thread that does the work.</summary>
internal interface IHandshakeSecrets : IHandshakeKeys
{
    /// <summary>C's RSA key: made when there is none yet, or when it is too old ([TD-67]). Shared: whoever uses its private part locks it.</summary>
    RsaKeyPair GetRsaKey(int bits);
}

/// <summary>Who does the core's public-key work. Bounded: when it is full, SYNs with CRYPT are dropped.</summary>
internal abstract class HandshakeWorkers
{
    /// <summary>No more is taken for now.</summary>
    public abstract bool IsFull { get; }

    /// <summary>Takes work that a stranger caused; false when it is full.</summary>
    public virtual bool TryQueue(HandshakeWork work)
    {
        if (IsFull)
        {
            return false;
        }

        Queue(work);
        return true;
    }

    /// <summary>Takes work for a connection that is opened here: the application bounds it.</summary>
    public abstract void Queue(HandshakeWork work);
}
