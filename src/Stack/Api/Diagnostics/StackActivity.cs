using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Tcpcrypt;

/// <summary>Spans of the activity source "Tcpcrypt.Stack" for what is forwarded: one per connection or flow, none per packet. Free when nobody listens.</summary>
/// <remarks>Attribute names are OpenTelemetry's. Spans may carry addresses and ports; metrics never do.</remarks>
internal static class StackActivity
{
    /// <summary>A forwarded connection or flow, from the request until its handler ends.</summary>
    public static Activity? StartForward(string transport, IPEndPoint source, IPEndPoint destination)
    {
        if (!IpStack.Activities.HasListeners())
        {
            return null;
        }

        Activity? activity = IpStack.Activities.StartActivity(transport + " forward", ActivityKind.Server);
        if (activity is { IsAllDataRequested: true })
        {
            activity.SetTag("network.transport", transport);
            activity.SetTag("client.address", source.Address.ToString());
            activity.SetTag("client.port", source.Port);
            activity.SetTag("server.address", destination.Address.ToString());
            activity.SetTag("server.port", destination.Port);
        }

        return activity;
    }

    /// <summary>The work of the span failed.</summary>
    public static void Fail(Activity? activity, Exception error)
    {
        if (activity is not null)
        {
            activity.SetTag("error.type", ErrorType(error));
            activity.SetStatus(ActivityStatusCode.Error, error.Message);
        }
    }

    /// <summary>"error.type": the socket error's name, or the exception's type.</summary>
    public static string ErrorType(Exception error) => error switch
    {
        SocketException socket => socket.SocketErrorCode.ToString(),
        { InnerException: SocketException socket } => socket.SocketErrorCode.ToString(),
        _ => error.GetType().FullName ?? error.GetType().Name,
    };
}
