"""What `import tinyedge` offers, one function a file; each checks what it is given before it imports anything heavy."""
