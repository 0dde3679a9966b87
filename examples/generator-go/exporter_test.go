package main

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	bootsplice "github.com/bootsplice/bootsplice/sdk/go"
	"github.com/bootsplice/bootsplice/sdk/go/bootsplicetest"
)

const from = "https://metrics.example.com/build.prom"

type with = map[string]any

func TestLabelsAndCollectorsBecomeFilesOfTheExporter(t *testing.T) {
	step, err := (&bootsplicetest.Host{}).Launch(plugin, with{
		"labels":     with{"role": "w\"e", "instance": "{{instance:id}}"},
		"collectors": with{"enable": []string{"systemd"}, "disable": []string{"wifi"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	arguments := "ARGS=\"--web.listen-address=:9100 --collector.textfile.directory=/var/lib/prometheus/node-exporter --collector.systemd --no-collector.wifi\"\n"
	if got := step.Entries["/etc/default/prometheus-node-exporter"].Text; got != arguments {
		t.Error(got)
	}
	labels := step.Entries["/var/lib/prometheus/node-exporter/bootsplice.prom"]
	if labels.Kind != bootsplicetest.Template || !strings.HasSuffix(labels.Text, "\nnode_labels{instance=\"{{instance:id}}\",role=\"w\\\"e\"} 1\n") {
		t.Errorf("%+v", labels)
	}
	if _, err := read(labels.Text); err != nil {
		t.Error(err)
	}
	if got := step.Actions[0].(bootsplice.Service); got.Unit != "prometheus-node-exporter.service" || !got.Enable {
		t.Errorf("%+v", got)
	}
}

func TestMetricsFromElsewhereArePinned(t *testing.T) {
	host := &bootsplicetest.Host{Files: map[string]any{from: "# HELP build x\nbuild_info{commit=\"abc\"} 1\n"}}
	step, err := host.Launch(plugin, with{"metrics": []with{{"name": "build", "url": from}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := step.Entries["/var/lib/prometheus/node-exporter/build.prom"].Text; !strings.Contains(got, "abc") {
		t.Error(got)
	}
	if host.Log[0].Fields["samples"] != "1" || len(host.Fetched) != 2 {
		t.Errorf("%+v %v", host.Log, host.Fetched)
	}
}

func TestAWrongFileIsNamedByItsLineAndPointsAtItsURL(t *testing.T) {
	for content, words := range map[string]string{
		"a 1\nb{c=d} 2\n": "line 2: `b{c=d} 2` is no sample", "a one\n": "line 1: `one` is no number", "a 1": "does not end",
	} {
		host := &bootsplicetest.Host{Files: map[string]any{from: content}}
		_, err := host.Launch(plugin, with{"metrics": []with{{"name": "build", "url": from}}})
		var wrong *bootsplice.Error
		if !errors.As(err, &wrong) || wrong.Code != bootsplice.InvalidConfig || wrong.Findings[0].Pointer != "/metrics/0/url" {
			t.Fatalf("%q: %v", content, err)
		}
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestAPanicIsAFaultWithFileAndLine(t *testing.T) {
	host := &bootsplicetest.Host{Files: map[string]any{from: "\xff"}}
	_, err := host.Launch(plugin, with{"metrics": []with{{"name": "build", "url": from}}})
	if !errors.Is(err, bootsplice.Fault) || !regexp.MustCompile(`^metrics\.go:\d+: metrics are not UTF-8$`).MatchString(err.Error()) {
		t.Error(err)
	}
}

func TestFindingsHavePointers(t *testing.T) {
	found := (&bootsplicetest.Host{}).Validate(plugin, with{
		"labels": with{"a-b": "", "__x": ""}, "collectors": with{"enable": []string{"cpu"}, "disable": []string{"wifi", "cpu"}},
		"metrics": []with{{"name": "bootsplice", "url": from}},
	})
	var pointers []string
	for _, finding := range found {
		pointers = append(pointers, finding.Pointer)
	}
	if got := strings.Join(pointers, " "); got != "/labels/__x /labels/a-b /collectors/disable/1 /metrics/0/name" {
		t.Error(got)
	}
}
