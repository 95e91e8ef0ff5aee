using Tcpcrypt.Tcp.Crypt;

namespace Tcpcrypt;

/// <summary>What one listener or connect sets differently from its stack.</summary>
internal static class CryptOverrides
{
    /// <exception cref="ArgumentOutOfRangeException">A value is none of its enumeration.</exception>
    public static void Validate(TcpcryptPolicy? policy, TcpcryptAwareness? awareness, TcpcryptCMode? mode)
    {
        Check("Policy", policy);
        Check("ApplicationAware", awareness);
        Check("CMode", mode);

        static void Check<T>(string property, T? value)
            where T : struct, Enum
        {
            if (value is { } given && !Enum.IsDefined(given))
            {
                throw new ArgumentOutOfRangeException(property, given, $"{property} is no {typeof(T).Name}.");
            }
        }
    }

    /// <summary>Null when nothing differs: the core has the stack's settings.</summary>
    public static CryptSettings? Apply(TcpcryptOptions stack, TcpcryptPolicy? policy, TcpcryptAwareness? awareness, TcpcryptCMode? mode, bool allowResumption = true)
    {
        if (policy is null && awareness is null && mode is null && allowResumption)
        {
            return null;
        }

        return CryptSettings.From(stack) with
        {
            Policy = policy ?? stack.Policy,
            Awareness = awareness ?? stack.ApplicationAware,
            CMode = mode ?? stack.CMode,
            AllowResumption = allowResumption && stack.AllowResumption,
        };
    }
}
