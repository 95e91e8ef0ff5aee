using System.Buffers.Binary;

namespace Tcpcrypt.Fuzz;

/// <summary>Makes new inputs of old ones: a few random changes at random places, and now and then a part of another input (AFL's havoc and splice).</summary>
internal sealed class Mutator(Random random, FuzzTarget target)
{
    private static readonly byte[] s_octets = [0, 1, 2, 3, 4, 5, 7, 8, 10, 15, 16, 17, 20, 31, 32, 40, 63, 64, 100, 127, 128, 129, 192, 254, 255];
    private static readonly ushort[] s_words = [0, 1, 127, 128, 255, 256, 512, 536, 1000, 1024, 1460, 1500, 4096, 32_767, 32_768, 65_535];
    private static readonly uint[] s_doubleWords = [0, 1, 65_535, 65_536, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF];

    public byte[] Mutate(byte[] input, IReadOnlyList<byte[]> others)
    {
        List<byte> data = [.. input];
        if (others.Count > 1 && random.Next(6) == 0)
        {
            Splice(data, others[random.Next(others.Count)]);
        }

        for (int changes = 1 << random.Next(0, 6); changes > 0; changes--)
        {
            if (target.RecordLength > 1 && random.Next(3) == 0)
            {
                ChangeRecords(data, others);
            }
            else
            {
                ChangeOctets(data);
            }
        }

        if (data.Count > target.MaxLength)
        {
            data.RemoveRange(target.MaxLength, data.Count - target.MaxLength);
        }

        return [.. data];
    }

    private void Splice(List<byte> data, byte[] other)
    {
        int cut = Aligned(data.Count);
        data.RemoveRange(cut, data.Count - cut);
        data.AddRange(other.AsSpan(Aligned(other.Length)));
    }

    private int Aligned(int length) => random.Next((length / target.RecordLength) + 1) * target.RecordLength;

    private void ChangeRecords(List<byte> data, IReadOnlyList<byte[]> others)
    {
        int unit = target.RecordLength;
        int count = data.Count / unit;
        int at = random.Next(count + 1) * unit;
        int length = Math.Min(1 << random.Next(0, 4), Math.Max(1, count)) * unit;
        switch (random.Next(6))
        {
            case 0:
                data.RemoveRange(at, Math.Min(length, data.Count - at));
                break;
            case 1:
                // Once more, and again.
                byte[] copy = [.. data.Skip(at).Take(length)];
                for (int times = 1 << random.Next(0, 4); times > 0 && data.Count < target.MaxLength; times--)
                {
                    data.InsertRange(at, copy);
                }

                break;
            case 2 when count > 1:
                int from = random.Next(count) * unit;
                int to = random.Next(count) * unit;
                for (int i = 0; i < unit && from + i < data.Count && to + i < data.Count; i++)
                {
                    (data[from + i], data[to + i]) = (data[to + i], data[from + i]);
                }

                break;
            case 3 when others.Count > 0:
                byte[] other = others[random.Next(others.Count)];
                int start = Aligned(other.Length);
                data.InsertRange(at, other.AsSpan(start, Math.Min(length, other.Length - start)));
                break;
            default:
                byte[] record = new byte[unit];
                random.NextBytes(record);
                data.InsertRange(at, record);
                break;
        }
    }

    private void ChangeOctets(List<byte> data)
    {
        if (data.Count == 0)
        {
            data.Add((byte)random.Next(256));
            return;
        }

        int at = random.Next(data.Count);
        switch (random.Next(12))
        {
            case 0:
                data[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1:
                data[at] = s_octets[random.Next(s_octets.Length)];
                break;
            case 2:
                data[at] += (byte)random.Next(-16, 17);
                break;
            case 3:
                data[at] = (byte)random.Next(256);
                break;
            case 4:
                Span<byte> word = stackalloc byte[2];
                BinaryPrimitives.WriteUInt16BigEndian(word, random.Next(3) == 0 ? (ushort)data.Count : s_words[random.Next(s_words.Length)]);
                Overwrite(data, at, word);
                break;
            case 5:
                Span<byte> doubleWord = stackalloc byte[4];
                BinaryPrimitives.WriteUInt32BigEndian(doubleWord, s_doubleWords[random.Next(s_doubleWords.Length)]);
                Overwrite(data, at, doubleWord);
                break;
            case 6 or 7 when target.Dictionary.Count > 0:
                byte[] token = target.Dictionary[random.Next(target.Dictionary.Count)];
                if (target.RecordLength == 1 && random.Next(2) == 0)
                {
                    data.InsertRange(at, token);
                }
                else
                {
                    Overwrite(data, at, token);
                }

                break;
            case 8 when target.RecordLength == 1:
                data.RemoveRange(at, Math.Min(1 + random.Next(16), data.Count - at));
                break;
            case 9 when target.RecordLength == 1:
                byte[] more = new byte[1 + random.Next(16)];
                if (random.Next(2) == 0)
                {
                    random.NextBytes(more);
                }

                data.InsertRange(at, more);
                break;
            case 10:
                byte[] block = [.. data.Skip(random.Next(data.Count)).Take(1 + random.Next(16))];
                Overwrite(data, at, block);
                break;
            default:
                data[at] = (byte)~data[at];
                break;
        }
    }

    private static void Overwrite(List<byte> data, int at, ReadOnlySpan<byte> octets)
    {
        for (int i = 0; i < octets.Length && at + i < data.Count; i++)
        {
            data[at + i] = octets[i];
        }
    }
}
