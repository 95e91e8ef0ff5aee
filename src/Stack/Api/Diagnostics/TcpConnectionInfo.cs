using System.Net;
using System.Net.NetworkInformation;

namespace Tcpcrypt;

/// <summary>One row of the connection table (RFC 4022 tcpConnectionTable).</summary>
/// <param name="Id">Names the connection in this stack's logs; 0 for half-open and TIME-WAIT entries, which have no control block.</param>
/// <param name="Local">Our end.</param>
/// <param name="Remote">The peer's end.</param>
/// <param name="State">The connection's state.</param>
/// <param name="Info">The connection's variables; all zero for entries without a control block.</param>
/// <param name="Tcpcrypt">What tcpcrypt has done for the connection.</param>
public sealed record TcpConnectionInfo(long Id, IPEndPoint Local, IPEndPoint Remote, TcpState State, TcpInfo Info, TcpcryptStatus Tcpcrypt);
