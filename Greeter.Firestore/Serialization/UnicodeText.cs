using System.Text;

namespace Greeter.Firestore.Serialization;

/// <summary>Checks that text is valid Unicode.</summary>
internal static class UnicodeText
{
    /// <summary>UTF-8 without a byte order mark, with an exception for invalid text or bytes.</summary>
    public static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Returns the text.</summary>
    /// <remarks>Protobuf encodes a lone surrogate as U+FFFD without an error: Firestore would store another text.</remarks>
    /// <exception cref="ArgumentException">The text has a lone surrogate.</exception>
    public static string Check(string text)
    {
        try
        {
            _ = StrictUtf8.GetByteCount(text);
            return text;
        }
        catch (EncoderFallbackException e)
        {
            throw new ArgumentException($"A text has a lone surrogate at index {e.Index}.", nameof(text), e);
        }
    }
}
