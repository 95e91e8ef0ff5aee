namespace Tcpcrypt;

/// <summary>The two dialects of the CRYPT and MAC options. Which one a connection speaks is found out by the handshake itself.</summary>
public enum TcpcryptDialect
{
    /// <summary>No tcpcrypt on this connection, or not known yet.</summary>
    None,

    /// <summary>The text of draft-bittau-tcp-crypt: what two stacks of this library speak.</summary>
    Draft,

    /// <summary>What tcpcryptd 0.3 does on the wire.</summary>
    Reference,
}

/// <summary>Who owns the public key: it is settled by the handshake and lasts for all resumed connections of the session.</summary>
public enum TcpcryptRole
{
    /// <summary>No tcpcrypt on this connection, or not known yet.</summary>
    None,

    /// <summary>Owns the public key, lists ciphers, sends INIT1. By default the side that opens.</summary>
    C,

    /// <summary>Chooses the cipher, sends INIT2. By default the side that listens.</summary>
    S,
}

/// <summary>The key exchanges; the values are the identifiers on the wire.</summary>
public enum TcpcryptKeyExchange
{
    /// <summary>None: the connection is not encrypted.</summary>
    None = 0,

    /// <summary>RSAES-OAEP with exponent 3: cheap for S, dear for C.</summary>
    OaepRsa = 0x000100,

    /// <summary>Ephemeral Diffie-Hellman over NIST P-256.</summary>
    EcdheP256 = 0x000200,

    /// <summary>Ephemeral Diffie-Hellman over NIST P-521.</summary>
    EcdheP521 = 0x000201,
}

/// <summary>The ciphers that protect segments; the values are the identifiers on the wire.</summary>
public enum TcpcryptCipher
{
    /// <summary>None: the connection is not encrypted.</summary>
    None = 0,

    /// <summary>AES-128 in counter mode with HMAC-SHA-256, 16 octets of tag.</summary>
    Aes128HmacSha256 = 0x00000100,

    /// <summary>AES-128 in counter mode with AES-128-CMAC; dialect Draft only.</summary>
    Aes128Cmac = 0x00000300,
}
