// Package core is what a verifier does with a question and its answer, apart
// from servers and databases: it also runs in a browser.
//
//	ask, err := core.ParseAsk("mdl:age_over_18,portrait", nil)
//	… ask.Query goes out as a DeviceRequest or a DCQL query …
//	result, err := core.Verify(ctx, response, core.VerifyParams{Asked: ask.Query, …})
//	result.WriteText(os.Stdout, false)
//
// ISO/IEC 23220-1:2023, 9 and 10.
package core
