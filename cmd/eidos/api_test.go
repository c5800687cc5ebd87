package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// api asks the API of the role at $ADMIN with the token in $TOKEN: "api METHOD
// PATH [BODY]". Texts of the answer become environment variables: tx_code is
// $TX_CODE.
func api(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: api METHOD PATH [BODY]")
	}
	req, err := http.NewRequest(args[0], "http://"+ts.Getenv("ADMIN")+args[1], strings.NewReader(strings.Join(args[2:], "")))
	ts.Check(err)
	if token := ts.Getenv("TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if len(args) > 2 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	var members map[string]any
	ts.Check(json.Unmarshal(body, &members))
	for name, v := range members {
		if text, ok := v.(string); ok {
			ts.Setenv(strings.ToUpper(name), text)
		}
	}
	fmt.Fprintf(ts.Stdout(), "%d\n%s\n%s\n", resp.StatusCode, resp.Header.Get("Www-Authenticate"), body)
}
