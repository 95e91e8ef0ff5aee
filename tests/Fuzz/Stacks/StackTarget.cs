namespace Tcpcrypt.Fuzz;

/// <summary>A whole stack under a script of packets, calls and time. The first record is the settings, each further one a step (<see cref="Machine"/>).</summary>
internal sealed class StackTarget(bool isEncrypted) : FuzzTarget
{
    public override string Name => isEncrypted ? "cryptstack" : "stack";

    public override int Weight => 10;

    public override int RecordLength => Machine.RecordLength;

    public override int MaxLength => Machine.RecordLength * 96;

    public override long AllocationLimit => 256L * 1024 * 1024;

    public override IEnumerable<byte[]> Seeds => StackSeeds.All(isEncrypted);

    public override void Run(ReadOnlySpan<byte> input)
    {
        Span<byte> settings = stackalloc byte[Machine.RecordLength];
        input[..Math.Min(input.Length, settings.Length)].CopyTo(settings);
        using Machine machine = new(settings, isEncrypted);
        input = input.Length > settings.Length ? input[settings.Length..] : default;
        while (input.Length >= Machine.RecordLength)
        {
            ReadOnlySpan<byte> step = input[..Machine.RecordLength];
            input = input[Machine.RecordLength..];
            machine.Do(step, ref input);
            machine.Audit();
        }

        machine.ExpectAlive();
        machine.Finish();
    }
}
