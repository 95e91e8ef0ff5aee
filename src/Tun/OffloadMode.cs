namespace Tcpcrypt.Tun;

/// <summary>Whether a <see cref="TunDevice"/> exchanges super-segments and unfinished checksums with the kernel (virtio-net header, TSO).</summary>
public enum OffloadMode
{
    /// <summary>Uses what the kernel and the device give; what is missing is done in software, and logged once as a warning.</summary>
    Auto,

    /// <summary>No offload: every packet is an ordinary one within the MTU, with complete checksums.</summary>
    Off,

    /// <summary>Opening fails with an <see cref="IOException"/> unless checksum and TCP segmentation offload are both there.</summary>
    Required,
}
