global using NUnit.Framework;
global using Tcpcrypt.Tests;
