namespace Tcpcrypt;

// CA1032: made by the stack only.
#pragma warning disable CA1032

/// <summary>A connection could not be encrypted although it had to be (<see cref="TcpcryptPolicy.Required"/>), or its handshake broke half-way, where going on in plain would not be safe.</summary>
public class TcpcryptException : IOException
{
    /// <summary>Makes one.</summary>
    /// <param name="outcome">Why.</param>
    /// <param name="message">What happened and what can be done.</param>
    /// <param name="innerException">The socket error, when there is one.</param>
    public TcpcryptException(TcpcryptOutcome outcome, string message, Exception? innerException = null)
        : base(message, innerException)
    {
        Outcome = outcome;
    }

    /// <summary>Why the connection is not encrypted.</summary>
    public TcpcryptOutcome Outcome { get; }
}
