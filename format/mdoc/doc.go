// Package mdoc is the mobile document of ISO/IEC 18013-5: how an issuing
// authority signs it, how its holder presents parts of it, and how a verifier
// checks what it was shown.
//
// Four people use it:
//
//   - the issuer calls [Issue] (or [PrepareIssue] when the signature is made
//     elsewhere) and [Lint] before releasing the result;
//   - the holder calls [VerifyIssuerSigned] on what it receives; later
//     [Select] with the stored bytes and the elements agreed to, then
//     [Presentation.Sign] or [Presentation.MAC], and [EncodeResponse];
//   - the verifier calls [BuildDeviceRequest], [ParseDeviceResponse] and
//     [Verify], which returns a report of named checks;
//   - both ends of a conversation call the Transcript functions, whose bytes
//     bind an answer to the conversation it was given in.
//
// Whatever is signed or hashed is kept as it was received (Raw) and never
// encoded again. Parsed values share memory with the bytes they were parsed
// from: the caller must not change those bytes afterwards.
//
// Clause numbers are those of ISO/IEC 18013-5:2021 unless the comment names the
// second edition (draft v4) or another document.
package mdoc
