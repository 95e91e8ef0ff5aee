using System.Security.Authentication;

namespace Tcpcrypt.Samples;

/// <summary>The recipe of docs/authentication.md with a pre-shared key.</summary>
internal static class Authentication
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    /// <summary>Reads a key file.</summary>
    public static async Task<byte[]> ReadKeyAsync(string file, CancellationToken stop)
    {
        byte[] key = await File.ReadAllBytesAsync(file, stop);
        return key.Length >= TcpcryptAuthentication.PreSharedKeyLengthMin
            ? key : throw new IOException($"{file} is too short for a key: {TcpcryptAuthentication.PreSharedKeyLengthMin} random octets are the least.");
    }

    /// <summary>Both sides prove over the session ID that they have the key, as the first data. Returns when nobody is in between; otherwise the connection and its session are gone.</summary>
    public static async Task AuthenticateAsync(TcpConnection connection, byte[] key, byte[] context, CancellationToken stop)
    {
        using CancellationTokenSource timeout = CancellationTokenSource.CreateLinkedTokenSource(stop);
        timeout.CancelAfter(s_patience);
        TcpcryptStatus status = connection.Tcpcrypt;
        byte[] proof = new byte[TcpcryptAuthentication.ProofLength];
        bool isPeerReal = false;
        await using Stream stream = connection.GetStream(ownsConnection: false);
        try
        {
            await stream.WriteAsync(TcpcryptAuthentication.CreateProof(key, status.Role, status.SessionId.Span, context), timeout.Token);
            await stream.ReadExactlyAsync(proof, timeout.Token);
            isPeerReal = TcpcryptAuthentication.VerifyProof(key, status.Role, status.SessionId.Span, proof, context);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // Too late, or not at all.
        }

        if (!isPeerReal)
        {
            connection.FlushTcpcryptSession(); // who is there now shall not resume it
            connection.Abort();
            stop.ThrowIfCancellationRequested();
            throw new AuthenticationException("the other side has not proved that it has the key");
        }
    }
}
