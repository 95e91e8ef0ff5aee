namespace Tcpcrypt.Demo;

/// <summary>The console.</summary>
internal static class Show
{
    private static int s_step;

    public static void Title(string text) => Console.WriteLine($"\n=== {text}");

    public static void Step(string text) => Console.WriteLine($"\n{++s_step}. {text}");

    public static void Line(string text) => Console.WriteLine(text);

    public static void Block(string text)
    {
        foreach (string line in text.Trim().ReplaceLineEndings("\n").Split('\n'))
        {
            Console.WriteLine("   | " + line);
        }
    }
}
