namespace Tcpcrypt.Crypt;

/// <summary>64-bit numbers of which only the low part is on the wire: offsets from an ISN ([TD-79]) and the generation of keys ([TD-94]).</summary>
internal static class ExtendedNumber
{
    /// <summary>The number with the given low 32 bits that is nearest to the expected one; a tie goes downwards ([TD-79]).</summary>
    /// <returns>False when the nearest would be negative or does not fit: no segment has it.</returns>
    public static bool TryExtend(ulong near, uint low, out ulong number)
    {
        // As a signed number, 80000000 is the distance downwards: the tie.
        int distance = unchecked((int)(low - (uint)near));
        number = unchecked(near + (ulong)(long)distance);
        return distance < 0 ? number < near : number >= near;
    }

    /// <summary>The generation nearest to our own transmit generation whose number modulo 256 is KeyLSB ([TD-94]).</summary>
    /// <returns>False for a tie, and for what would be negative: the segment is dropped.</returns>
    public static bool TryExtendGeneration(long transmit, byte keyLsb, out long generation)
    {
        sbyte distance = unchecked((sbyte)(keyLsb - (byte)transmit));
        generation = transmit + distance;
        return distance != sbyte.MinValue && generation >= 0;
    }
}
