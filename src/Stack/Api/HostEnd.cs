using Tcpcrypt.Host;

namespace Tcpcrypt;

/// <summary>Tells one object that the host has stopped. Not the object itself: what can be disposed of and is attached is disposed of when a stop begins, and UDP, flows and captures live to its end.</summary>
internal sealed class HostEnd : IHostClient
{
    private readonly StackHost _host;
    private readonly Action<Exception> _onStopped;

    public HostEnd(StackHost host, Action<Exception> onStopped)
    {
        _host = host;
        _onStopped = onStopped;
    }

    /// <summary>Calls back at once when the host has stopped already. Not under the core's lock.</summary>
    public void Attach() => _host.Attach(this);

    public void Detach() => _host.Detach(this);

    void IHostClient.OnHostStopped(Exception reason) => _onStopped(reason);
}
