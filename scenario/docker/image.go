package docker

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// label is on all that a run makes. Images made of a program bear it too, with the value image.
const label = "ciranda.run"

// user is the one that has no rights, as in the Dockerfile.
const user = 65532

// image gives the name of the image to run, and makes it if it is that of a program.
func (p Place) image(ctx context.Context) (string, error) {
	engine, err := platform(ctx)
	if err != nil {
		return "", err
	}
	if p.Image != "" {
		if _, err := command(ctx, nil, "image", "inspect", "--format", "{{.Id}}", p.Image); err != nil {
			return "", fmt.Errorf("%w (docker build --target ciranda --tag %s . makes it, in ciranda's source)", err, p.Image)
		}
		return p.Image, nil
	}
	path := p.Program
	if path == "" {
		if own := runtime.GOOS + "/" + runtime.GOARCH; own != engine {
			return "", fmt.Errorf("this program is for %s and the containers are for %s: --image must name an image with ciranda in it",
				own, engine)
		}
		path = "/proc/self/exe" // right even if another program has taken its place since
	}
	return imageOf(ctx, path)
}

// imageOf gives the name of an image that has a program in it and nothing else. It is made once for each program.
func imageOf(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := static(f); err != nil {
		return "", err
	}
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("ciranda-run:%.8x", sum.Sum(nil))
	if known, err := command(ctx, nil, "image", "ls", "--quiet", name); err != nil || known != "" {
		return name, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	layer, w := io.Pipe()
	go func() { w.CloseWithError(writeLayer(w, f, size)) }()
	_, err = command(ctx, layer, "import", "--change", `ENTRYPOINT ["/ciranda"]`, "--change", "LABEL "+label+"=image", "-", name)
	layer.CloseWithError(err) // if the command has not read all of it
	if err != nil {
		return "", err
	}
	// Those of programs that nobody has run for a day are of no more use. If they cannot be removed, no harm is done.
	_, _ = command(ctx, nil, "image", "prune", "--all", "--force", "--filter", "label="+label+"=image", "--filter", "until=24h")
	return name, nil
}

// static refuses programs that need more than a kernel.
func static(f io.ReaderAt) error {
	program, err := elf.NewFile(f)
	if err != nil {
		return fmt.Errorf("the nodes' program is not one for Linux: %w", err)
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			return errors.New("this program needs libraries, which containers do not have: build it with CGO_ENABLED=0, " +
				"or name an image with --image")
		}
	}
	return nil
}

// writeLayer writes the files of an image.
func writeLayer(to io.Writer, program io.Reader, size int64) error {
	w := tar.NewWriter(to)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777},
		{Typeflag: tar.TypeDir, Name: "data/", Mode: 0o700, Uid: user, Gid: user},
		{Typeflag: tar.TypeReg, Name: "ciranda", Mode: 0o755, Size: size},
	} {
		if err := w.WriteHeader(h); err != nil {
			return err
		}
	}
	if _, err := io.Copy(w, program); err != nil {
		return err
	}
	return w.Close()
}

// writeCredentials writes the files of a directory as they are to be in a container.
func writeCredentials(to io.Writer, dir string) error {
	w := tar.NewWriter(to)
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	place := strings.TrimPrefix(credentialsDir, "/") + "/"
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: place, Mode: 0o700, Uid: user, Gid: user}); err != nil {
		return err
	}
	for _, entry := range files {
		data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err == nil {
			err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: place + entry.Name(), Mode: 0o600, Uid: user, Gid: user, Size: int64(len(data))})
		}
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			return err
		}
	}
	return w.Close()
}
