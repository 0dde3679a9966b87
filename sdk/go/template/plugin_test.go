package main

import (
	"errors"
	"testing"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
	"github.com/bootsplice/bootsplice/sdk/go/bootsplicetest"
)

func TestTheGreetingIsALineOfTheMessageOfTheDay(t *testing.T) {
	step, err := (&bootsplicetest.Host{}).Launch(plugin, Config{Greeting: "Hello"})
	if err != nil || step.Entries["/etc/motd.d/{{name}}"].Text != "Hello\n" {
		t.Error(step, err)
	}
}

func TestABlankGreetingIsRefusedAtItsPlace(t *testing.T) {
	_, err := (&bootsplicetest.Host{}).Launch(plugin, Config{Greeting: " "})
	var refused *bootsplice.Error
	if !errors.As(err, &refused) || refused.Code != bootsplice.InvalidConfig || refused.Findings[0].Pointer != "/greeting" {
		t.Error(err)
	}
}
