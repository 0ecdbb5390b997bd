package api

// Access is what a process shows to others, and demands of them, at all its ports.
type Access struct {
	// Token is the secret of a cluster without credentials. Whoever shows it may do everything.
	Token Token
}

// Insecure says whether what is sent can be read and changed on its way.
func (a Access) Insecure() bool { return true }
