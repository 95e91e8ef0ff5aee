using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using AesInstructions = System.Runtime.Intrinsics.X86.Aes;

namespace Tcpcrypt.Crypt;

/// <summary>
/// AES-128 (FIPS 197) with the processor's instructions, in time that depends on lengths only. Eight blocks at a time hide the latency of a round; a call into a library costs more
/// than a short segment does here (64 octets: 20 ns against 170).
/// </summary>
internal static unsafe class AesNi
{
    public const int BlockLength = 16;

    /// <summary>Octets of an expanded key.</summary>
    public const int ScheduleLength = 11 * BlockLength;

    private const int Width = 8;
    private const int Batch = Width * BlockLength;

    public static bool IsSupported => AesInstructions.IsSupported && Ssse3.IsSupported;

    /// <summary>FIPS 197 §5.2.</summary>
    /// <param name="key">16 octets.</param>
    /// <param name="schedule">11 round keys.</param>
    public static void ExpandKey(ReadOnlySpan<byte> key, Vector128<byte>* schedule)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(key.Length, BlockLength, nameof(key));
        Vector128<byte> round = Vector128.Create(key);
        schedule[0] = round;
        schedule[1] = round = Next(round, AesInstructions.KeygenAssist(round, 0x01));
        schedule[2] = round = Next(round, AesInstructions.KeygenAssist(round, 0x02));
        schedule[3] = round = Next(round, AesInstructions.KeygenAssist(round, 0x04));
        schedule[4] = round = Next(round, AesInstructions.KeygenAssist(round, 0x08));
        schedule[5] = round = Next(round, AesInstructions.KeygenAssist(round, 0x10));
        schedule[6] = round = Next(round, AesInstructions.KeygenAssist(round, 0x20));
        schedule[7] = round = Next(round, AesInstructions.KeygenAssist(round, 0x40));
        schedule[8] = round = Next(round, AesInstructions.KeygenAssist(round, 0x80));
        schedule[9] = round = Next(round, AesInstructions.KeygenAssist(round, 0x1B));
        schedule[10] = Next(round, AesInstructions.KeygenAssist(round, 0x36));

        static Vector128<byte> Next(Vector128<byte> previous, Vector128<byte> assist)
        {
            previous ^= Sse2.ShiftLeftLogical128BitLane(previous, 4);
            previous ^= Sse2.ShiftLeftLogical128BitLane(previous, 8);
            return previous ^ Sse2.Shuffle(assist.AsInt32(), 0xFF).AsByte();
        }
    }

    /// <summary>One block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Encrypt(Vector128<byte>* schedule, Vector128<byte> block)
    {
        block ^= schedule[0];
        block = AesInstructions.Encrypt(block, schedule[1]);
        block = AesInstructions.Encrypt(block, schedule[2]);
        block = AesInstructions.Encrypt(block, schedule[3]);
        block = AesInstructions.Encrypt(block, schedule[4]);
        block = AesInstructions.Encrypt(block, schedule[5]);
        block = AesInstructions.Encrypt(block, schedule[6]);
        block = AesInstructions.Encrypt(block, schedule[7]);
        block = AesInstructions.Encrypt(block, schedule[8]);
        block = AesInstructions.Encrypt(block, schedule[9]);
        return AesInstructions.EncryptLast(block, schedule[10]);
    }

    /// <summary>XORs the key stream of a segment.</summary>
    public static void XorKeyStream(Vector128<byte>* schedule, CounterLayout layout, ulong position, byte* source, byte* destination, int length)
    {
        int offset = (int)(position % BlockLength);
        ulong first = position - (uint)offset;
        if (layout == CounterLayout.Reference)
        {
            // Reference spec 6.2: the upper half counts, little-endian and without a carry out.
            Xor(schedule, Vector128.Create(0, first), Vector128.Create(0, 1UL << 24), Vector128.Create(0x0706050403020100, 0x0F0E0D0C0B0A0908UL).AsByte(), offset, source, destination, length);
            return;
        }

        // [TD-74]: 128 bits, big-endian. The kernel does not carry; 2^64 is passed at most once, at the edge of a block.
        Vector128<ulong> step = Vector128.Create((ulong)BlockLength, 0);
        Vector128<byte> reversed = Vector128.Create(0x08090A0B0C0D0E0F, 0x0001020304050607UL).AsByte();
        ulong untilCarry = unchecked(0 - position);
        if (position != 0 && untilCarry < (uint)length)
        {
            Xor(schedule, Vector128.Create(first, 0), step, reversed, offset, source, destination, (int)untilCarry);
            Xor(schedule, Vector128.Create(0, 1UL), step, reversed, 0, source + untilCarry, destination + untilCarry, length - (int)untilCarry);
            return;
        }

        Xor(schedule, Vector128.Create(first, 0), step, reversed, offset, source, destination, length);
    }

    /// <summary>RFC 4493 §2.3: K1 and K2 behind an expanded key.</summary>
    public static void DeriveCmacKeys(Vector128<byte>* schedule, Vector128<byte>* subkeys)
    {
        subkeys[0] = Double(Encrypt(schedule, Vector128<byte>.Zero));
        subkeys[1] = Double(subkeys[0]);

        // Times x in GF(2^128), the most significant bit first, without a branch on the secret.
        static Vector128<byte> Double(Vector128<byte> block)
        {
            Vector128<byte> reversed = Vector128.Create(0x08090A0B0C0D0E0F, 0x0001020304050607UL).AsByte();
            Vector128<ulong> number = Ssse3.Shuffle(block, reversed).AsUInt64();
            ulong low = number.GetElement(0);
            ulong high = number.GetElement(1);
            ulong reduction = (0 - (high >> 63)) & 0x87;
            return Ssse3.Shuffle(Vector128.Create((low << 1) ^ reduction, (high << 1) | (low >> 63)).AsByte(), reversed);
        }
    }

    /// <summary>AES-128-CMAC (RFC 4493) over two parts.</summary>
    public static Vector128<byte> Cmac(Vector128<byte>* schedule, Vector128<byte>* subkeys, byte* first, int firstLength, byte* second, int secondLength)
    {
        Vector128<byte> state = Vector128<byte>.Zero;
        byte* block = stackalloc byte[BlockLength];

        // The last block of all is kept back.
        int kept = secondLength > 0 ? 0 : 1;
        for (; firstLength >= BlockLength + kept; first += BlockLength, firstLength -= BlockLength)
        {
            state = Encrypt(schedule, state ^ Vector128.Load(first));
        }

        int filled = firstLength;
        Copy(first, block, firstLength);
        if (secondLength > 0)
        {
            if (filled > 0)
            {
                int count = Math.Min(BlockLength - filled, secondLength);
                Copy(second, block + filled, count);
                filled += count;
                second += count;
                secondLength -= count;
            }

            if (secondLength > 0)
            {
                if (filled > 0)
                {
                    state = Encrypt(schedule, state ^ Vector128.Load(block));
                }

                for (; secondLength > BlockLength; second += BlockLength, secondLength -= BlockLength)
                {
                    state = Encrypt(schedule, state ^ Vector128.Load(second));
                }

                filled = secondLength;
                Copy(second, block, secondLength);
            }
        }

        if (filled == BlockLength)
        {
            return Encrypt(schedule, state ^ Vector128.Load(block) ^ subkeys[0]);
        }

        block[filled] = 0x80;
        new Span<byte>(block + filled + 1, BlockLength - filled - 1).Clear();
        return Encrypt(schedule, state ^ Vector128.Load(block) ^ subkeys[1]);
    }

    // What does not fill eight blocks, or begins inside of one, goes through a buffer.
    [SkipLocalsInit]
    private static void Xor(Vector128<byte>* schedule, Vector128<ulong> counter, Vector128<ulong> step, Vector128<byte> order, int offset, byte* source, byte* destination, int length)
    {
        byte* buffer = stackalloc byte[Batch];
        Vector128<ulong> batchStep = step << 3;
        bool used = false;
        while (length > 0)
        {
            if (offset == 0 && length >= Batch)
            {
                XorEight(schedule, counter, step, order, source, destination);
                source += Batch;
                destination += Batch;
                length -= Batch;
            }
            else
            {
                int count = Math.Min(Batch - offset, length);
                Copy(source, buffer + offset, count);
                if (offset + count <= Batch / 2)
                {
                    XorFour(schedule, counter, step, order, buffer, buffer);
                }
                else
                {
                    XorEight(schedule, counter, step, order, buffer, buffer);
                }

                Copy(buffer + offset, destination, count);
                source += count;
                destination += count;
                length -= count;
                offset = 0;
                used = true;
            }

            counter += batchStep;
        }

        if (used)
        {
            // It holds key stream, and plaintext on one of the two sides.
            new Span<byte>(buffer, Batch).Clear();
        }
    }

    private static void Copy(byte* source, byte* destination, int length) => Unsafe.CopyBlockUnaligned(destination, source, (uint)length);

    private static void XorEight(Vector128<byte>* schedule, Vector128<ulong> counter, Vector128<ulong> step, Vector128<byte> order, byte* source, byte* destination)
    {
        Vector128<byte> key = schedule[0];
        Vector128<byte> block0 = Ssse3.Shuffle(counter.AsByte(), order) ^ key;
        Vector128<byte> block1 = Ssse3.Shuffle((counter += step).AsByte(), order) ^ key;
        Vector128<byte> block2 = Ssse3.Shuffle((counter += step).AsByte(), order) ^ key;
        Vector128<byte> block3 = Ssse3.Shuffle((counter += step).AsByte(), order) ^ key;
        Vector128<byte> block4 = Ssse3.Shuffle((counter += step).AsByte(), order) ^ key;
        Vector128<byte> block5 = Ssse3.Shuffle((counter += step).AsByte(), order) ^ key;
        Vector128<byte> block6 = Ssse3.Shuffle((counter += step).AsByte(), order) ^ key;
        Vector128<byte> block7 = Ssse3.Shuffle((counter += step).AsByte(), order) ^ key;
        for (int round = 1; round < 10; round++)
        {
            key = schedule[round];
            block0 = AesInstructions.Encrypt(block0, key);
            block1 = AesInstructions.Encrypt(block1, key);
            block2 = AesInstructions.Encrypt(block2, key);
            block3 = AesInstructions.Encrypt(block3, key);
            block4 = AesInstructions.Encrypt(block4, key);
            block5 = AesInstructions.Encrypt(block5, key);
            block6 = AesInstructions.Encrypt(block6, key);
            block7 = AesInstructions.Encrypt(block7, key);
        }

        key = schedule[10];
        Vector128<byte>* from = (Vector128<byte>*)source;
        Vector128<byte>* to = (Vector128<byte>*)destination;
        to[0] = AesInstructions.EncryptLast(block0, key) ^ from[0];
        to[1] = AesInstructions.EncryptLast(block1, key) ^ from[1];
        to[2] = AesInstructions.EncryptLast(block2, key) ^ from[2];
        to[3] = AesInstructions.EncryptLast(block3, key) ^ from[3];
        to[4] = AesInstructions.EncryptLast(block4, key) ^ from[4];
        to[5] = AesInstructions.EncryptLast(block5, key) ^ from[5];
        to[6] = AesInstructions.EncryptLast(block6, key) ^ from[6];
        to[7] = AesInstructions.EncryptLast(block7, key) ^ from[7];
    }

    private static void XorFour(Vector128<byte>* schedule, Vector128<ulong> counter, Vector128<ulong> step, Vector128<byte> order, byte* source, byte* destination)
    {
        Vector128<byte> key = schedule[0];
        Vector128<byte> block0 = Ssse3.Shuffle(counter.AsByte(), order) ^ key;
        Vector128<byte> block1 = Ssse3.Shuffle((counter += step).AsByte(), order) ^ key;
        Vector128<byte> block2 = Ssse3.Shuffle((counter += step).AsByte(), order) ^ key;
        Vector128<byte> block3 = Ssse3.Shuffle((counter += step).AsByte(), order) ^ key;
        for (int round = 1; round < 10; round++)
        {
            key = schedule[round];
            block0 = AesInstructions.Encrypt(block0, key);
            block1 = AesInstructions.Encrypt(block1, key);
            block2 = AesInstructions.Encrypt(block2, key);
            block3 = AesInstructions.Encrypt(block3, key);
        }

        key = schedule[10];
        Vector128<byte>* from = (Vector128<byte>*)source;
        Vector128<byte>* to = (Vector128<byte>*)destination;
        to[0] = AesInstructions.EncryptLast(block0, key) ^ from[0];
        to[1] = AesInstructions.EncryptLast(block1, key) ^ from[1];
        to[2] = AesInstructions.EncryptLast(block2, key) ^ from[2];
        to[3] = AesInstructions.EncryptLast(block3, key) ^ from[3];
    }
}
