using System.Runtime.CompilerServices;
using NUnit.Framework;

namespace Tcpcrypt.Tests;

/// <summary>Waiting for what another thread, process or kernel does in its own time.</summary>
internal static class Poll
{
    /// <summary>Longer than anything takes on a busy machine.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(5);

    public static async Task UntilAsync(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string what = "")
    {
        using CancellationTokenSource patience = new(s_patience);
        while (!condition())
        {
            if (patience.IsCancellationRequested)
            {
                Assert.Fail($"It did not come to pass that {what}.");
            }

            await Task.Delay(s_interval).ConfigureAwait(false);
        }
    }
}
