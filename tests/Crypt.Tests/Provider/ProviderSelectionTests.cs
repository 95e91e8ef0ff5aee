using System.Reflection;
using System.Runtime.InteropServices;
using NUnit.Framework;
using Tcpcrypt.Crypt;

namespace Tcpcrypt.Tests.Provider;

/// <summary>Which provider a process gets, and that a wrong library is never it.</summary>
internal sealed class ProviderSelectionTests
{
    [Test]
    public void Native_is_the_default_where_there_is_one()
    {
        CryptoProvider native = new Faulty("");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(CryptoProvider.Select(null, native, null), Is.SameAs(native));
            Assert.That(CryptoProvider.Select(null, null, "no library"), Is.SameAs(CryptoProvider.Portable));
            Assert.That(CryptoProvider.Default, Is.SameAs(CryptoProvider.Native ?? CryptoProvider.Portable));
        }
    }

    [Test]
    public void Either_can_be_forced()
    {
        CryptoProvider native = new Faulty("");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(CryptoProvider.Select("Native", native, null), Is.SameAs(native));
            Assert.That(CryptoProvider.Select("Portable", native, null), Is.SameAs(CryptoProvider.Portable));
        }
    }

    [Test]
    public void Native_forced_where_there_is_none_says_why() =>
        Assert.That(() => CryptoProvider.Select("Native", null, "there is no libcrypto.so.3"), Throws.InstanceOf<PlatformNotSupportedException>().With.Message.Contains("there is no libcrypto.so.3"));

    [TestCase("native")]
    [TestCase("")]
    [TestCase(true)]
    public void Any_other_setting_is_an_error(object setting) => Assert.That(() => CryptoProvider.Select(setting, null, null), Throws.InvalidOperationException.With.Message.Contains(CryptoProvider.Setting));

    [TestCase(new[] { "libtcpcrypt-does-not-exist.so" }, "there is no libtcpcrypt-does-not-exist.so")]
    [TestCase(new[] { "libtcpcrypt-does-not-exist.so", "libc.so.6" }, "libc.so.6 is not OpenSSL")]
    public void Library_that_is_missing_or_another_one_is_not_used(string[] fileNames, string expected)
    {
        Assert.That(LibCrypto.TryFind(fileNames, out nint library, out string? reason), Is.False);
        Assert.That(library, Is.EqualTo((nint)0));
        Assert.That(reason, Is.EqualTo(expected));
    }

    [Test]
    public void Every_function_that_is_imported_is_asked_for_before_it_is_used()
    {
        IEnumerable<string> imported = typeof(LibCrypto).GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic)
            .Where(static method => method.GetCustomAttribute<DllImportAttribute>() is not null).Select(static method => method.Name);
        IEnumerable<string> asked = new[] { "s_entryPoints", "s_hashEntryPoints" }
            .SelectMany(static field => (string[])typeof(LibCrypto).GetField(field, BindingFlags.Static | BindingFlags.NonPublic)!.GetValue(null)!);
        Assert.That(imported.Except([nameof(LibCrypto.OpenSSL_version_num)]), Is.EquivalentTo(asked));
    }

    [TestCase("")]
    [TestCase("AES")]
    [TestCase("key stream")]
    [TestCase("CMAC")]
    [TestCase("HMAC")]
    [TestCase("kept HMAC")]
    [TestCase("P-256")]
    [TestCase("P-521")]
    [TestCase("RSA")]
    public void Self_test_notices_one_wrong_primitive(string what) =>
        Assert.That(ProviderSelfTest.Run(new Faulty(what)), Is.EqualTo(what switch { "" => null, "key stream" => "AES", "kept HMAC" => "HMAC", _ => what }));

    [Test]
    public void Names_tell_providers_apart()
    {
        Assert.That(CryptoProvider.Portable.Name, Does.StartWith("Portable"));
        if (CryptoProvider.Native is { } native)
        {
            Assert.That(native.Name, Does.StartWith("Native").And.Contains("OpenSSL 3").Or.Contains("OpenSSL 4"));
        }
    }

    /// <summary>The portable provider with one bit wrong in one primitive.</summary>
    private sealed class Faulty(string what) : CryptoProvider
    {
        public override string Name => $"wrong {what}";

        public override AesKey CreateAes(ReadOnlySpan<byte> key) => new FaultyAes(Portable.CreateAes(key), what);

        public override MacKey CreateHmacSha256(ReadOnlySpan<byte> key) => new FaultyMac(Portable.CreateHmacSha256(key), what == "kept HMAC");

        public override MacKey CreateCmac(ReadOnlySpan<byte> key) => new FaultyMac(Portable.CreateCmac(key), what == "CMAC");

        public override void HmacSha256(ReadOnlySpan<byte> key, ReadOnlySpan<byte> data, Span<byte> destination)
        {
            Portable.HmacSha256(key, data, destination);
            destination[31] ^= (byte)(what == "HMAC" ? 1 : 0);
        }

        public override EcKeyPair? CreateEcKeyPair(TcpcryptKeyExchange keyExchange, ReadOnlySpan<byte> privateKey)
        {
            byte[] scalar = privateKey.ToArray();
            scalar[^1] ^= (byte)(what == (keyExchange == TcpcryptKeyExchange.EcdheP256 ? "P-256" : "P-521") ? 1 : 0);
            return Portable.CreateEcKeyPair(keyExchange, scalar);
        }

        public override RsaKeyPair GenerateRsaKeyPair(int bits) => Portable.GenerateRsaKeyPair(bits);

        public override RsaKeyPair ImportRsaKeyPair(ReadOnlySpan<byte> modulus, ReadOnlySpan<byte> privateExponent, ReadOnlySpan<byte> prime1, ReadOnlySpan<byte> prime2) =>
            Portable.ImportRsaKeyPair(modulus, privateExponent, prime1, prime2);

        public override bool TryRsaEncrypt(ReadOnlySpan<byte> modulus, OaepHash hash, ReadOnlySpan<byte> message, ReadOnlySpan<byte> seed, Span<byte> destination)
        {
            bool encrypted = Portable.TryRsaEncrypt(modulus, hash, message, seed, destination);
            destination[^1] ^= (byte)(what == "RSA" && hash == OaepHash.Sha256 ? 1 : 0);
            return encrypted;
        }
    }

    private sealed class FaultyAes(AesKey key, string what) : AesKey
    {
        public override void EncryptBlock(ReadOnlySpan<byte> input, Span<byte> output)
        {
            key.EncryptBlock(input, output);
            output[0] ^= (byte)(what == "AES" ? 1 : 0);
        }

        public override void XorKeyStream(CounterLayout layout, ulong position, ReadOnlySpan<byte> source, Span<byte> destination)
        {
            key.XorKeyStream(layout, position, source, destination);
            destination[source.Length - 1] ^= (byte)(what == "key stream" ? 1 : 0);
        }

        public override void Dispose() => key.Dispose();
    }

    private sealed class FaultyMac(MacKey key, bool wrong) : MacKey
    {
        public override void Compute(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> tag)
        {
            key.Compute(first, second, tag);
            tag[15] ^= (byte)(wrong ? 1 : 0);
        }

        public override void Dispose() => key.Dispose();
    }
}
