package trace

import (
	"runtime/debug"
	"strings"
	"sync"
)

// module is the path of the project's module.
const module = "ciranda.dev"

// Version is that of the project in this program: the module's, else the revision that it was built from, with + if
// that was changed. It is empty if the build has not noted either.
var Version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	if info.Main.Path == module {
		return versionOf(&info.Main, info.Settings)
	}
	for _, d := range info.Deps { // it is a part of another program
		if d.Path == module {
			return versionOf(d, nil)
		}
	}
	return ""
})

func versionOf(m *debug.Module, settings []debug.BuildSetting) string {
	if m.Version != "" && m.Version != "(devel)" {
		return m.Version
	}
	var revision, changed string
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+"
		}
	}
	if revision == "" {
		return strings.Trim(m.Version, "()")
	}
	return revision + changed
}
