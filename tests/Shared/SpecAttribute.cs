using NUnit.Framework;

namespace Tcpcrypt.Tests;

/// <summary>The requirement that a test covers, by its id: <c>9293-MUST-12</c>. Filter with <c>--filter Spec~9293</c>.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Method, AllowMultiple = true)]
public sealed class SpecAttribute(string id) : PropertyAttribute("Spec", id);
