using System.ComponentModel;
using System.Diagnostics;
using System.Text;

namespace Tcpcrypt.Tests;

/// <summary>What a command left behind.</summary>
public sealed record ShellResult(string Command, int ExitCode, string Output, string Error)
{
    /// <summary>The standard output, when the command ended with 0.</summary>
    /// <exception cref="InvalidOperationException">It did not; the message has both streams.</exception>
    public string Expect() => ExitCode == 0
        ? Output
        : throw new InvalidOperationException($"`{Command}` ended with {ExitCode}.\nstdout: {Output}\nstderr: {Error}");
}

/// <summary>A command that runs, its output being collected. Disposing kills it and its children.</summary>
public sealed class ShellCommand : IDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly StringBuilder _error = new();
    private readonly string _command;

    internal ShellCommand(string program, IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new(program) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, UseShellExecute = false };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        _command = $"{program} {string.Join(' ', start.ArgumentList)}";
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, line) => Collect(_output, line.Data);
        _process.ErrorDataReceived += (_, line) => Collect(_error, line.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>The process id.</summary>
    public int Id => _process.Id;

    /// <summary>What it wrote to its standard output so far.</summary>
    public string Output => Read(_output);

    /// <summary>What it wrote to its standard error so far.</summary>
    public string Error => Read(_error);

    /// <summary>True when it has ended.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>The command's standard input.</summary>
    public StreamWriter Input => _process.StandardInput;

    /// <summary>Waits for the end.</summary>
    /// <param name="timeout">How long at most; 30 seconds by default.</param>
    /// <returns>What it left behind.</returns>
    /// <exception cref="TimeoutException">It did not end in time, and was killed.</exception>
    public ShellResult Wait(TimeSpan? timeout = null)
    {
        TimeSpan limit = timeout ?? Shell.DefaultTimeout;
        if (!_process.WaitForExit(limit))
        {
            Dispose();
            throw new TimeoutException($"`{_command}` did not end within {limit.TotalSeconds:0.#} s.\nstdout: {Output}\nstderr: {Error}");
        }

        _process.WaitForExit();     // also waits for the last lines of output
        return new ShellResult(_command, _process.ExitCode, Output, Error);
    }

    /// <inheritdoc cref="Wait"/>
    public async Task<ShellResult> WaitAsync(TimeSpan? timeout = null)
    {
        using CancellationTokenSource limit = new(timeout ?? Shell.DefaultTimeout);
        try
        {
            await _process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            Dispose();
            throw new TimeoutException($"`{_command}` did not end within {(timeout ?? Shell.DefaultTimeout).TotalSeconds:0.#} s.\nstdout: {Output}\nstderr: {Error}");
        }

        return new ShellResult(_command, _process.ExitCode, Output, Error);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            if (!_process.HasExited)
            {
                _process.Kill(entireProcessTree: true);
                _process.WaitForExit(TimeSpan.FromSeconds(5));
            }
        }
        catch (InvalidOperationException)
        {
            // Ended meanwhile.
        }
    }

    private static void Collect(StringBuilder into, string? line)
    {
        if (line is not null)
        {
            lock (into)
            {
                into.AppendLine(line);
            }
        }
    }

    private static string Read(StringBuilder from)
    {
        lock (from)
        {
            return from.ToString();
        }
    }
}

/// <summary>Runs commands for tests.</summary>
public static class Shell
{
    /// <summary>How long a command may take unless told otherwise.</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(30);

    /// <summary>Starts a command, without a shell: arguments are passed as they are.</summary>
    public static ShellCommand Start(string program, params IEnumerable<string> arguments) => new(program, arguments);

    /// <summary>Runs a command to its end.</summary>
    public static ShellResult Run(string program, params IEnumerable<string> arguments) => Start(program, arguments).Wait();

    /// <summary>True when the program is installed.</summary>
    public static bool Has(string program)
    {
        try
        {
            using ShellCommand which = Start("/bin/sh", "-c", $"command -v {program}");
            return which.Wait().ExitCode == 0;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}
