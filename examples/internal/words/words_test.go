package words

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumbersAreWrittenAsPeopleReadThem(t *testing.T) {
	require.Equal(t, "1 zip", Count(1, "zip"))
	require.Equal(t, "0 zips", Count(0, "zip"))
	require.Equal(t, "999 zips", Count(999, "zip"))
	require.Equal(t, "7,712 files", Count(7712, "file"))
	require.Equal(t, "1,234,567", Number(1234567))
	require.Equal(t, "0 B", Bytes(0))
	require.Equal(t, "999 B", Bytes(999))
	require.Equal(t, "1.0 KB", Bytes(1000))
	require.Equal(t, "103.4 MB", Bytes(103_400_000))
}
