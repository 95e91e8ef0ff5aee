namespace Tcpcrypt.Crypt;

/// <summary>The option kinds of CRYPT and MAC ([TD-1]).</summary>
internal readonly record struct CryptOptionKinds(byte Crypt, byte Mac)
{
    /// <summary>What tcpcryptd uses.</summary>
    public static readonly CryptOptionKinds Default = new(69, 70);
}
