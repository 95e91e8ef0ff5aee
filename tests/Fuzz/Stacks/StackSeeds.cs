namespace Tcpcrypt.Fuzz;

/// <summary>Scripts to begin with, one for each thing that takes several steps.</summary>
internal static class StackSeeds
{
    public static IEnumerable<byte[]> All(bool isEncrypted)
    {
        byte[] open = Step(Op.OpenPassive, 0, 15);
        byte[] active = Step(Op.OpenActive, 0, 15);
        byte[] send = Step(Op.AppSend, 0, 0, 60);
        byte[][] scripts =
        [
            [.. open, .. Step(Op.Data, 0, 100), .. Step(Op.AppReceive, 0, 255), .. send, .. Step(Op.AckAll)],
            [.. active, .. send, .. Step(Op.AckAll), .. Step(Op.Data, 0, 100), .. Step(Op.Fin), .. Step(Op.AppClose), .. Step(Op.AckAll)],
            [.. open, .. send, .. Step(Op.Sack, 0, 20, 60), .. Step(Op.Sack, 0, 20, 120), .. Step(Op.NextTimer, 0, 1), .. Step(Op.AckAll)],
            [.. open, .. send, .. Step(Op.NextTimer, 0, 3), .. Step(Op.PartialAck, 0, 100), .. Step(Op.AckAll)],
            [.. open, .. Step(Op.Segment, 0, 0x18, 1, 0, 0, 0x05, 100), .. Step(Op.Segment, 0, 0x18, 2, 0, 0, 0x05, 100), .. Step(Op.Data, 0, 200), .. Step(Op.Segment, 0, 0x11, 0, 0, 0, 0x05, 9)],
            [.. open, .. Step(Op.AppClose), .. Step(Op.AckAll), .. Step(Op.Fin), .. Step(Op.Replay), .. Step(Op.Wait, 0, 3, 200)],
            [.. open, .. Step(Op.Rst), .. Step(Op.Syn), .. Step(Op.Wait, 0, 1, 100)],
            [.. open, .. send, .. Step(Op.Icmp, 0, 3, 4, 2, 68), .. Step(Op.NextTimer, 0, 1), .. Step(Op.Icmp, 0, 3, 1)],
            [.. open, .. Step(Op.Fragmented, 0, 100, 3), .. Step(Op.SuperSegment, 0, 200, 4), .. Step(Op.Udp, 0, 20)],
            [.. Step(Op.Loopback), .. Step(Op.AppSend, 0, 0, 10), .. Step(Op.AppReceive, 0, 255), .. Step(Op.AppClose)],
            [.. open, .. Step(Op.SetOption, 0, 8, 1), .. send, .. Step(Op.Talk, 0, 8), .. Step(Op.Talk, 0, 8), .. Step(Op.Info)],
            [.. open, .. send, .. Step(Op.PeerWindow, 0, 0, 0), .. Step(Op.AckAll), .. Step(Op.NextTimer, 0, 2), .. Step(Op.PeerWindow, 0, 1, 0), .. Step(Op.AckAll)],
            [.. open, .. send, .. Step(Op.Wait, 0, 0, 20), .. Step(Op.PartialAck, 0, 100), .. Step(Op.Wait, 0, 0, 20), .. Step(Op.Sack, 0, 60, 100), .. Step(Op.Wait, 0, 0, 3), .. Step(Op.AckAll), .. send, .. Step(Op.Wait, 0, 0, 60)],
            [.. Step(Op.Forward, 0, 0, 15), .. Step(Op.Decide), .. Step(Op.AckAll), .. Step(Op.Data, 0, 40), .. send, .. Step(Op.AckAll), .. Step(Op.Forward, 0, 0, 15), .. Step(Op.Decide, 0, 0, 1)],
            [.. Step(Op.Forward, 0, 1, 9), .. Step(Op.Decide, 0, 1, 0, 0, 20), .. Step(Op.Forward, 0, 1, 9), .. Step(Op.Wait, 0, 2, 40), .. Step(Op.Forward, 0, 0, 3), .. Step(Op.Decide, 0, 0, 2, 1)],
            [.. Step(Op.Host, 0, 0, 10), .. Step(Op.Host, 0, 2), .. Step(Op.Host, 0, 1, 60), .. Step(Op.Host, 0, 3, 9), .. Step(Op.Host, 0, 0, 1), .. Step(Op.Wait, 0, 2, 9)],
            [.. Step(Op.Raw, 0, 3, 6, 1), .. new byte[24], .. Step(Op.Reflect), .. Step(Op.Corrupt, 0, 0, 30, 1)],
        ];
        foreach (byte[] script in scripts)
        {
            yield return [.. new byte[Machine.RecordLength], .. script];
            yield return [1, 2, 3, 4, 0, 0, 0, 0, .. script];
        }

        if (isEncrypted)
        {
            yield return [.. new byte[Machine.RecordLength], .. open, .. Step(Op.Rekey), .. send, .. Step(Op.AckAll), .. Step(Op.Suboptions, 0, 4, 1), .. Step(Op.Data, 0, 50)];
            yield return [.. new byte[Machine.RecordLength], .. open, .. Step(Op.Data, 0, 50), .. Step(Op.OpenPassive, 0, 3, 0, 1), .. Step(Op.Data, 1, 50), .. Step(Op.AppSend, 1, 100), .. Step(Op.AckAll, 1)];
            yield return [.. new byte[Machine.RecordLength], .. open, .. Step(Op.Data, 0, 50), .. Step(Op.OpenActive, 0, 3, 0, 2), .. Step(Op.Data, 1, 50), .. Step(Op.AppSend, 1, 100), .. Step(Op.AckAll, 1)];
            yield return [.. new byte[Machine.RecordLength], .. Step(Op.OpenActive, 0, 3, 2), .. Step(Op.Data, 0, 50), .. Step(Op.Suboptions, 0, 1), .. Step(Op.Data, 0, 50)];
            yield return [.. new byte[Machine.RecordLength], .. Step(Op.OpenActive, 0, 33, 3, 3), .. Step(Op.SynAck, 0, 1, 0, 0), .. Step(Op.Suboptions, 0, 1), .. Step(Op.Wait, 0, 2, 5)];
            yield return [.. new byte[Machine.RecordLength], .. Step(Op.OpenPassive, 0, 15 + 64), .. send, .. Step(Op.AckAll), .. Step(Op.Data, 0, 50)];
        }
    }

    private static byte[] Step(Op op, params byte[] operands)
    {
        byte[] step = new byte[Machine.RecordLength];
        step[0] = (byte)op;
        operands.CopyTo(step, 1);
        return step;
    }
}
