namespace Tcpcrypt;

public sealed partial class IpStack
{
    private readonly StackServices _services = new();

    /// <summary>Begins what reports about a running stack. Called once, when the host runs.</summary>
    internal void StartServices()
    {
    }

    /// <summary>Ends UDP sockets, pings, mappings and captures. Called when the stack stops, before its host is disposed, and when its device fails.</summary>
    /// <param name="failure">Why the stack ended by itself; null when it was stopped.</param>
    internal ValueTask EndServicesAsync(Exception? failure) => _services.EndAsync(failure);
}
