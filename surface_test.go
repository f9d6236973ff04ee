package dispatch_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/dispatch"
)

// An embedded type gives its methods and fields to the type around it. So this test lists
// what a user sees of each type, and nothing else may be added by accident.
func TestTypesShowWhatIsMeantForUsersAndNothingElse(t *testing.T) {
	for _, shown := range []struct {
		of      reflect.Type
		methods string
		fields  string
	}{
		{reflect.TypeFor[*dispatch.Pool[int, int]](), "Batch BatchOf Close Done Drain Failures Map Pause Prestart Process ProcessTimed " +
			"Resize Resume Running Shutdown Stats Stop Stream StreamChan Submit TrySubmit Wait", ""},
		{reflect.TypeFor[*dispatch.Future[int]](), "Cancel Done Wait", ""},
		{reflect.TypeFor[*dispatch.Batch[int, int]](), "Add All Cancel Close Done Progress Results Wait", ""},
		{reflect.TypeFor[dispatch.Result[int, int]](), "", "Index In Out Err"},
		{reflect.TypeFor[dispatch.Handler[int, int]](), "Process", ""},
		{reflect.TypeFor[*dispatch.Histogram](), "Buckets Count MarshalJSON Mean Quantile String Sub Sum UnmarshalJSON", ""},
		{reflect.TypeFor[*dispatch.ItemError](), "Error Unwrap", "Index Err"},
		{reflect.TypeFor[*dispatch.PanicError](), "Error Unwrap", "Value Stack"},
		{reflect.TypeFor[*dispatch.TimeoutError](), "Error Is Timeout", "Pool Limit Ran"},
	} {
		var methods, fields []string
		for method := range shown.of.Methods() {
			methods = append(methods, method.Name)
		}
		of := shown.of
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct {
			for _, f := range reflect.VisibleFields(of) {
				if f.IsExported() {
					fields = append(fields, f.Name)
				}
			}
		}
		assert.Equal(t, shown.methods, strings.Join(methods, " "), "methods of %v", shown.of)
		assert.Equal(t, shown.fields, strings.Join(fields, " "), "fields of %v", shown.of)
	}
}
