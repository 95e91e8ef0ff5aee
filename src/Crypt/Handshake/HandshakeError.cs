namespace Tcpcrypt.Crypt;

/// <summary>What can go wrong with INIT1, INIT2 or the list in PKCONF.</summary>
internal enum HandshakeError
{
    None,

    /// <summary>Wrong magic, lengths, point, modulus or padding: one reason for all, the connection is aborted ([TD-50], [TD-122]).</summary>
    Malformed,

    /// <summary>Nothing in common: the connection goes on in plain ([TD-45], [TD-48]).</summary>
    NoCommonAlgorithm,
}
